// Durations of PromQL that a test can make shorter.
function(scale) {
  local units = { ms: 0.001, s: 1, m: 60, h: 3600, d: 86400, w: 604800 },
  local split(text) =
    local digits = std.length(std.filter(function(c) std.member('0123456789', c), std.stringChars(text)));
    { number: std.parseInt(text[:digits]), unit: text[digits:] },

  // How many seconds a duration of one unit, such as 90m, is once divided.
  seconds(text)::
    local parts = split(text);
    assert std.objectHas(units, parts.unit) : '%s: want a number and one unit' % text;
    parts.number * units[parts.unit] / scale,

  // The duration as text, unchanged where nothing is divided.
  scaled(text):: if scale == 1 then text else '%dms' % std.max(1, std.round(self.seconds(text) * 1000)),
}
