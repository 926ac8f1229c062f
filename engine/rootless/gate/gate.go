// Package gate holds a program that was started in a new user namespace back until its IDs are mapped. The program must then
// start again, for only an exec as the namespace's root gives it the capabilities (user_namespaces(7)); so it waits in an init
// that imports next to nothing. Those are called first (Go's specification, Package initialization), and what other packages
// prepare, two milliseconds of three, is done once.
package gate

import (
	"errors"
	"os"
	"strconv"
	"syscall"
)

const (
	// Variable tells the new process the file descriptor to read from.
	Variable = "BERTH_USERNS_WAIT"
	// Open is what is written there when the IDs are mapped. A process that reads something else ends.
	Open = "go"
)

func init() {
	text := os.Getenv(Variable)
	if text == "" {
		return
	}
	os.Stderr.WriteString("Error: " + pass(text).Error() + "\n")
	os.Exit(125)
}

// pass waits for the word and starts the program again; when it returns, it could not.
func pass(text string) error {
	fd, err := strconv.Atoi(text)
	if err != nil {
		return errors.New(Variable + ": " + err.Error())
	}
	if read(fd) != Open {
		return errors.New("user namespace was not set up")
	}
	syscall.Close(fd)
	os.Unsetenv(Variable)
	// LISTEN_PID names the process that systemd gave the sockets to: the parent, and now this one.
	if os.Getenv("LISTEN_PID") == strconv.Itoa(os.Getppid()) {
		os.Setenv("LISTEN_PID", strconv.Itoa(os.Getpid()))
	}
	return os.NewSyscallError("start again in the user namespace", syscall.Exec("/proc/self/exe", os.Args, os.Environ()))
}

// read reads all that the other end writes before it is closed, and no more than that it is not the word.
func read(fd int) string {
	var buf [len(Open) + 1]byte
	n := 0
	for n < len(buf) {
		m, err := syscall.Read(fd, buf[n:])
		if err == syscall.EINTR {
			continue
		}
		if m <= 0 {
			break
		}
		n += m
	}
	return string(buf[:n])
}
