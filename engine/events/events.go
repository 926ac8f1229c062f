// Package events tells what happens to containers and the like, by entries of the journal. It never waits.
package events

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// MessageID marks entries of the journal that tell what has happened to containers and the like
// (systemd.journal-fields(7), MESSAGE_ID=). Events are looked for by it.
const MessageID = "6a9cf2f1d1c84c0f9b7c5be0ad1e4b62"

// The fields of such entries.
const (
	Field           = "BERTH_EVENT" // several with commas when they happened as one: create,start
	TypeField       = "BERTH_TYPE"
	IDField         = "BERTH_ID"
	NameField       = "BERTH_NAME"
	ImageField      = "BERTH_IMAGE"
	PodField        = "BERTH_POD_ID"
	NetworkField    = "BERTH_NETWORK"
	ExitCodeField   = "BERTH_EXIT_CODE"
	HealthField     = "BERTH_HEALTH"
	AttributesField = "BERTH_ATTRIBUTES" // JSON
)

// Event is something that has happened: one entry of the journal.
type Event struct {
	Type       string   // container, image, volume, network, pod, secret
	What       []string // create, start
	ID, Name   string
	Image      string
	Pod        string // ID
	Network    string
	ExitCode   *int
	Health     string
	Why        string            // what has led to it, for people
	Unit       string            // whose log has the entry too, when another one's process tells it
	User       bool              // the unit is of the manager of the user who tells it, not of the system's
	Attributes map[string]string // the labels
}

// JournalSocket is where programs write entries for the journal that all share.
const JournalSocket = "/run/systemd/journal/socket"

// Send writes the entry and does not wait: an event is lost when the journal takes nothing at the moment, or is not there.
// What has happened has happened; nothing must fail or be late because it could not be told.
func (e Event) Send() { e.SendTo(JournalSocket) }

// SendTo is Send to the socket of another journal.
func (e Event) SendTo(socket string) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	_ = unix.Sendto(fd, e.entry(), unix.MSG_NOSIGNAL, &unix.SockaddrUnix{Name: socket})
}

// entry is the event in the journal's protocol.
func (e Event) entry() []byte {
	var b bytes.Buffer
	add := func(name, value string) {
		if value != "" {
			b.WriteString(name + "=" + strings.ReplaceAll(value, "\n", " ") + "\n")
		}
	}
	add("MESSAGE", e.message())
	add("MESSAGE_ID", MessageID)
	add("PRIORITY", "6")
	add("SYSLOG_IDENTIFIER", "berth")
	add(Field, strings.Join(e.What, ","))
	add(TypeField, e.Type)
	add(IDField, e.ID)
	add(NameField, e.Name)
	add(ImageField, e.Image)
	add(PodField, e.Pod)
	add(NetworkField, e.Network)
	if e.ExitCode != nil {
		add(ExitCodeField, strconv.Itoa(*e.ExitCode))
	}
	add(HealthField, e.Health)
	// journalctl -u looks at USER_UNIT when the user has sent it, at OBJECT_SYSTEMD_UNIT when root has (journalctl(1), --unit=).
	if e.User {
		add("USER_UNIT", e.Unit)
	} else {
		add("OBJECT_SYSTEMD_UNIT", e.Unit)
	}
	if len(e.Attributes) > 0 {
		if text, err := json.Marshal(e.Attributes); err == nil {
			add(AttributesField, string(text))
		}
	}
	return b.Bytes()
}

// message is the event for people.
func (e Event) message() string {
	name := e.Name
	if name == "" {
		name = e.ID
	}
	text := e.Type + " " + name + ": " + strings.Join(e.What, ", ")
	switch {
	case e.Health != "":
		text = e.Type + " " + name + " is " + e.Health
	case e.ExitCode != nil:
		text += " (exit status " + strconv.Itoa(*e.ExitCode) + ")"
	}
	if e.Why != "" {
		text += ": " + e.Why
	}
	return text
}
