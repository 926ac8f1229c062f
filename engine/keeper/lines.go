package keeper

import "bytes"

// lineMax is where a line that does not end is divided, as journald's LineMax= does.
const lineMax = 48 << 10

// The priorities of syslog that lines have by themselves.
const (
	prioError = 3
	prioInfo  = 6
)

// line is a line without its end.
type line struct {
	text    []byte
	partial bool // it goes on in the next one
	rest    bool // it goes on from the one before
	dropped int  // bytes at its end that are not in text
}

// cut divides what a pipe holds. It appends the complete lines to list, and returns how many bytes they have with their ends.
// When the pipe has ended, or is full, the rest is a part of a line: readers of the log see what was written, as with Podman.
func cut(list []line, data []byte, ended, full bool) ([]line, int) {
	used := 0
	for used < len(data) {
		rest := data[used:]
		end := bytes.IndexByte(rest, '\n')
		switch {
		case end >= 0 && end <= lineMax:
			list = append(list, line{text: rest[:end]})
			used += end + 1
		case end > lineMax || len(rest) >= lineMax:
			list = append(list, line{text: rest[:lineMax], partial: true})
			used += lineMax
		case ended, full && used == 0:
			return append(list, line{text: rest, partial: true}), len(data)
		default:
			return list, used
		}
	}
	return list, used
}

// priority takes the prefix <N> off that a program may set before a line (sd-daemon(3)).
func (l line) priority(standard int) (int, []byte) {
	text := l.text
	if !l.rest && len(text) >= 3 && text[0] == '<' && text[2] == '>' && text[1] >= '0' && text[1] <= '7' {
		return int(text[1] - '0'), text[3:]
	}
	return standard, text
}
