//go:build containers_image_openpgp

// Command berth-image does berth's work on images: berth executes it when it needs an image that is not in the store, and
// for the verbs that are about images. It is a program of its own because what it links costs 4 ms at every start, and 12 MB.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/sirupsen/logrus"
	"go.podman.io/storage/pkg/reexec"

	"github.com/berth-pods/berth/engine/image"
	"github.com/berth-pods/berth/engine/image/verb"
	"github.com/berth-pods/berth/engine/sd"
	"github.com/berth-pods/berth/engine/tty"
)

// What the program is called in messages. People type berth, which executes this program.
const program = "berth"

// Exit codes, the same as Podman's.
const (
	exitMissing = 1   // the image does not exist
	exitInUse   = 2   // it exists, and a container uses it
	exitFailed  = 125 // everything else

	exitSignal = 128 // and the number of the signal that has ended it, as shells have it
)

func main() {
	// The storage library runs this program again, in a chroot, to unpack a layer.
	if reexec.Init() {
		return
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	go func() { cancel(interruption((<-signals).(syscall.Signal))) }()
	e := env{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Notify: background(notify)}
	os.Exit(e.main(ctx, os.Args[1:]))
}

// interruption is the signal that has ended the command.
type interruption syscall.Signal

func (interruption) Error() string { return "interrupted" }

// An env is what a verb may touch besides the store.
type env struct {
	In       io.Reader
	Out, Err io.Writer
	Notify   func(state string) // tells systemd; does nothing outside a unit
}

// notify passes over errors: a status that does not arrive must not stop a pull.
func notify(state string) { _ = sd.Manager{}.Notify(state) }

// background sends states beside the work, as the manager may take its time to answer. A state that comes while another
// one waits is dropped: the next second brings a newer one.
func background(send func(string)) func(state string) {
	states := make(chan string, 1)
	go func() {
		for s := range states {
			send(s)
		}
	}()
	return func(state string) {
		select {
		case states <- state:
		default:
		}
	}
}

// main runs one command line and returns the exit code.
func (e env) main(ctx context.Context, args []string) int {
	err := e.run(ctx, args)
	if err == nil {
		return 0
	}
	if !errors.Is(err, errQuiet) {
		for line := range strings.SplitSeq(err.Error(), "\n") {
			fmt.Fprintln(e.Err, "Error:", tty.Printable(line))
		}
	}
	return exitCode(ctx, err)
}

// errQuiet ends a command with exit code 1 and no message.
var errQuiet = errors.New("no")

func exitCode(ctx context.Context, err error) int {
	var missing removalMissing
	by, interrupted := context.Cause(ctx).(interruption)
	switch {
	case errors.Is(err, errQuiet), errors.As(err, &missing):
		return exitMissing
	case errors.Is(err, image.ErrInUse):
		return exitInUse
	case interrupted && errors.Is(err, context.Canceled):
		return exitSignal + int(by)
	}
	return exitFailed
}

func (e env) run(ctx context.Context, args []string) error {
	table := verb.Table()
	global, rest, err := parse(verb.Global(), args, untilVerb)
	if errors.Is(err, errHelp) || (err == nil && len(rest) == 0) {
		verb.Overview(e.Out, program, table, verb.Global())
		return nil
	}
	if err != nil {
		return err
	}
	if verb.IsGroup(rest) {
		verb.Group(e.Out, program, table, rest[0])
		if len(rest) == 1 { // an error, so that a script with an empty variable does not take it for success
			return fmt.Errorf("missing command `%s %s COMMAND`", program, rest[0])
		}
		return nil
	}
	v, rest, err := verb.Find(table, rest)
	if err != nil {
		return err
	}
	flags, rest, err := parse(v.Flags, rest, anywhere)
	if errors.Is(err, errHelp) {
		verb.Help(e.Out, program, v)
		return nil
	}
	if err == nil {
		err = count(v, len(rest))
	}
	if err != nil {
		return fmt.Errorf("%s: %w", v.Name, err)
	}
	return e.do(ctx, v.Name, global, flags, rest)
}

// do opens the store for the time of one verb.
func (e env) do(ctx context.Context, name string, global, flags values, args []string) error {
	if err := setLogLevel(global.text("log-level"), e.Err); err != nil {
		return err
	}
	if run := storeless()[name]; run != nil {
		return run(ctx, call{env: e, flags: flags, args: args, policy: global.text("signature-policy")})
	}
	w := e.watch(name, flags.yes("quiet"))
	images, err := image.Open(image.Options{
		Root: global.text("root"), RunRoot: global.text("runroot"), Driver: global.text("storage-driver"),
		DriverOptions: global.texts("storage-opt"), SignaturePolicy: global.text("signature-policy"),
		Report: w.progress, Say: w.say,
	})
	if err != nil {
		return err
	}
	c := call{env: e, images: images, flags: flags, args: args, watch: w}
	err = verbs()[name](ctx, c)
	w.end()
	return errors.Join(err, images.Close())
}

func setLogLevel(level string, w io.Writer) error {
	l, err := logrus.ParseLevel(level)
	if err != nil {
		return fmt.Errorf("--log-level %s: use debug, info, warn, error or fatal", level)
	}
	logrus.SetLevel(l)
	logrus.SetOutput(w)
	return nil
}

// A call is one use of a verb.
type call struct {
	env
	images *image.Images
	flags  values
	args   []string
	watch  *watch
	policy string // of --signature-policy, for those who do not open the store
}

// verbs maps each verb of the table to what it does.
func verbs() map[string]func(context.Context, call) error {
	return map[string]func(context.Context, call) error{
		"pull":          runPull,
		"load":          runLoad,
		"images":        runImages,
		"image inspect": runInspect,
		"image exists":  runExists,
		"tag":           runTag,
		"untag":         runUntag,
		"rmi":           runRemove,
		"push":          runPush,
		"save":          runSave,
		"import":        runImport,
		"history":       runHistory,

		"image check-store":  runCheck,
		"image of-container": runOfContainer,

		"image tree":    runTree,
		"image prune":   runPrune,
		"image mount":   runMount,
		"image unmount": runUnmount,
		"image diff":    runDiff,

		"manifest add":      runManifestAdd,
		"manifest annotate": runManifestAnnotate,
		"manifest create":   runManifestCreate,
		"manifest exists":   runManifestExists,
		"manifest inspect":  runManifestInspect,
		"manifest push":     runManifestPush,
		"manifest remove":   runManifestRemove,
		"manifest rm":       runManifestRm,

		"artifact add":     runArtifactAdd,
		"artifact extract": runArtifactExtract,
		"artifact inspect": runArtifactInspect,
		"artifact ls":      runArtifactList,
		"artifact pull":    runArtifactPull,
		"artifact push":    runArtifactPush,
		"artifact rm":      runArtifactRemove,
	}
}

// storeless are the verbs that need no store.
func storeless() map[string]func(context.Context, call) error {
	return map[string]func(context.Context, call) error{
		"login":  runLogin,
		"logout": runLogout,
		"search": runSearch,

		"image remote-digest": runRemoteDigest,
		"image scp":           runScp,
		"image sign":          runSign,
		"image trust set":     runTrustSet,
		"image trust show":    runTrustShow,
	}
}
