// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"
)

// format is the version of the lines. A program refuses to rely on one that it does
// not know.
const format = 1

const (
	sumBefore = `,"sum":"`
	sumAfter  = `"}`
	sumSize   = len(sumBefore) + 8 + len(sumAfter)
)

var errSum = errors.New("its checksum does not fit")

// appendLine adds a line with an entry, which is JSON without line ends. The checksum
// is over all that stands before it.
func appendLine(to []byte, sequence uint64, entry []byte) []byte {
	start := len(to)
	to = fmt.Appendf(to, `{"v":%d,"seq":%d,"entry":`, format, sequence)
	to = append(to, entry...)
	to = appendSum(to, to[start:])
	return append(to, '\n')
}

func appendSum(to, of []byte) []byte {
	return fmt.Appendf(to, "%s%08x%s", sumBefore, crc32.Checksum(of, crc32.MakeTable(crc32.Castagnoli)), sumAfter)
}

// parseLine takes apart a line without its end.
func parseLine(line []byte) (sequence uint64, e entry, err error) {
	split := len(line) - sumSize
	if split < 0 || !bytes.Equal(line[split:], appendSum(nil, line[:split])) {
		return 0, e, errSum
	}
	var outer struct {
		Format   int             `json:"v"`
		Sequence uint64          `json:"seq"`
		Entry    json.RawMessage `json:"entry"`
	}
	if err := json.Unmarshal(line, &outer); err != nil {
		return 0, e, fmt.Errorf("it is no JSON: %w", err)
	}
	if outer.Format != format {
		return 0, e, errors.New("it is of format " + strconv.Itoa(outer.Format) + ", written by another version of the program")
	}
	if err := json.Unmarshal(outer.Entry, &e); err != nil {
		return 0, e, fmt.Errorf("its entry is not to be read: %w", err)
	}
	return outer.Sequence, e, nil
}
