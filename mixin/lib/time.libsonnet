// Durations of PromQL that a test can make shorter.
function(scale) {
  local units = { ms: 0.001, s: 1, m: 60, h: 3600, d: 86400, w: 604800 },
  local digits(text) = std.length(std.filter(function(c) std.member('0123456789', c), std.stringChars(text))),

  // How many seconds a duration of one unit, such as 90m, is once divided.
  seconds(text)::
    local unit = std.substr(text, digits(text), std.length(text));
    assert std.objectHas(units, unit) : '%s: want a number and one unit' % text;
    std.parseInt(std.substr(text, 0, digits(text))) * std.get(units, unit) / scale,

  // The duration as text, unchanged where nothing is divided.
  scaled(text):: if scale == 1 then text else '%dms' % std.max(1, std.round(self.seconds(text) * 1000)),
}
