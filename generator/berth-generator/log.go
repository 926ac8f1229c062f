package main

import (
	"os"
	"strconv"
	"strings"
	"syscall"
)

// logger writes one line a message: to the kernel log, which is all there is when generators run at boot, and to standard
// error for people and tests.
type logger struct {
	stderr *os.File
	kmsg   *os.File
	opened bool // the kernel log, with the first message
	toKmsg bool
	prefix string
	debugs bool
	errors int
}

func newLog(stderr *os.File, opts options) *logger {
	return &logger{stderr: stderr, prefix: "berth-generator[" + strconv.Itoa(os.Getpid()) + "]: ",
		debugs: opts.verbose || opts.dryRun, toKmsg: !opts.noKmsg && !opts.dryRun}
}

func (l *logger) open() {
	if l.opened {
		return
	}
	l.opened = true
	if !l.toKmsg {
		return
	}
	if f, err := os.OpenFile("/dev/kmsg", os.O_WRONLY, 0); err == nil {
		l.kmsg = f
		if sameDevice(f, l.stderr) {
			l.stderr = nil
		}
	}
}

// sameDevice: newer systemd runs generators with standard error on the kernel log.
func sameDevice(a, b *os.File) bool {
	var x, y syscall.Stat_t
	return syscall.Fstat(int(a.Fd()), &x) == nil && syscall.Fstat(int(b.Fd()), &y) == nil &&
		x.Mode&syscall.S_IFMT == syscall.S_IFCHR && y.Mode&syscall.S_IFMT == syscall.S_IFCHR && x.Rdev == y.Rdev
}

func (l *logger) close() {
	if l.kmsg != nil {
		l.kmsg.Close()
	}
}

// maxRecord is the longest record that /dev/kmsg takes, with room for what the kernel adds.
const maxRecord = 900

// The priorities of the kernel log.
const (
	prioError   = "<3>"
	prioWarning = "<4>"
	prioDebug   = "<7>"
)

func (l *logger) write(priority, text string) {
	l.open()
	line := l.prefix + printable(text)
	if l.kmsg != nil {
		short := line
		if len(short) > maxRecord {
			short = short[:maxRecord] + "…"
		}
		if _, err := l.kmsg.WriteString(priority + short + "\n"); err != nil {
			l.kmsg.Close()
			l.kmsg = nil
		}
	}
	if l.stderr != nil {
		l.stderr.WriteString(line + "\n")
	}
}

// printable replaces control characters: what a file quotes must not steer a terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '\ufffd'
		}
		return r
	}, text)
}

func (l *logger) error(text string) {
	l.errors++
	l.write(prioError, text)
}

func (l *logger) warn(text string) { l.write(prioWarning, text) }

func (l *logger) debug(text string) {
	if l.debugs {
		l.write(prioDebug, text)
	}
}

// status is the exit status so far.
func (l *logger) status() int {
	if l.errors > 0 {
		return 1
	}
	return 0
}
