// Package autoupdate keeps the images of units up to date. It asks whether there is another image, fetches it, restarts the
// units, and when one of them does not come up it goes back to the image that worked.
package autoupdate

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"
)

// Labels of containers, as Podman has them.
const (
	Label         = "io.containers.autoupdate"          // registry, image (the same), local or disabled
	LabelAuthFile = "io.containers.autoupdate.authfile" // credentials for the registry
	LabelUnit     = "PODMAN_SYSTEMD_UNIT"
)

// Container is a container that wants its image kept up to date.
type Container struct {
	ID, Name string
	Unit     string // a restart of it makes the container anew, of what the image's name is then
	Image    string // as the unit names it
	ImageID  string // that it runs
	Policy   string
	AuthFile string
}

// Local is an image of the store.
type Local struct {
	ID      string
	Digests []string // of the manifests by which it is known
}

// Host is what an update does to the machine.
type Host interface {
	// Remote is the digest of what the registry has under a name.
	Remote(ctx context.Context, c Container) (digest string, err error)
	// Local is what the store has under a name.
	Local(ctx context.Context, image string) (Local, error)
	// Pull brings what the registry has, and returns its ID.
	Pull(ctx context.Context, c Container) (id string, err error)
	// Tag gives an image another name, which another image may have had.
	Tag(ctx context.Context, image, name string) error
	// Restart restarts a unit and returns when it works, or an error when it does not; ErrUnseen when that remains open, and
	// ErrStopped when somebody else has stopped or restarted it.
	Restart(ctx context.Context, unit string, how How) error
}

// How a unit is restarted.
type How struct {
	Down  bool // also when it is not up, and not ErrStopped then
	Hurry bool // it is enough that it is ready
}

// ErrUnseen says that nobody has seen whether a unit works: whoever looked was interrupted. That says nothing of its image.
var ErrUnseen = errors.New("it was not seen whether it works")

// ErrStopped is ErrUnseen: somebody else has stopped the unit, or restarted it. One that was stopped is left so.
var ErrStopped = fmt.Errorf("%w: somebody else has stopped or restarted it", ErrUnseen)

// What became of a container, in the words of Podman.
const (
	Yes        = "true"
	No         = "false"
	Pending    = "pending"
	Failed     = "failed"
	RolledBack = "rolled back"
)

// Result is what became of one container.
type Result struct {
	Container
	Updated string
	Err     error
}

// Updater does one round.
type Updater struct {
	Host     Host
	DryRun   bool
	Rollback bool
	Past     []Event
	Log      func(string)
	Now      func() time.Time
	Record   func(Event) error // called as soon as something has been done
	// Gone tells whether there is no such unit any more, and Forget takes a name away from the image that has it, if any.
	Gone   func(ctx context.Context, unit string) bool
	Forget func(ctx context.Context, name string) error
}

// Run updates the containers, those with the same image together, and goes on after errors.
func (u *Updater) Run(ctx context.Context, list []Container) []Result {
	var all []Result
	for _, group := range groups(list) {
		if ctx.Err() != nil {
			break
		}
		all = append(all, u.group(ctx, group)...)
	}
	if !u.DryRun {
		u.forget(ctx)
	}
	sort.Slice(all, func(i, j int) bool { return all[i].Unit+"\x00"+all[i].Name < all[j].Unit+"\x00"+all[j].Name })
	return all
}

// forget lets go of the images that are kept for units that are gone: nothing else would, as no prune takes them. A unit that is
// stopped, or whose file has a mistake, is not gone.
func (u *Updater) forget(ctx context.Context) {
	seen := map[string]bool{}
	for _, e := range u.Past {
		if seen[e.Unit] || ctx.Err() != nil {
			continue
		}
		seen[e.Unit] = true
		if !u.Gone(ctx, e.Unit) {
			continue
		}
		if err := u.Forget(ctx, lastGood(e.Unit)); err != nil {
			u.Log(fmt.Sprintf("let go of the image kept for %s, which is gone: %v", e.Unit, err))
		}
	}
}

// groups puts those with the same image and policy together, in the order of unit names.
func groups(list []Container) [][]Container {
	sorted := slices.Clone(list)
	key := func(c Container) string { return c.Image + "\x00" + c.Policy + "\x00" + c.Unit }
	sort.Slice(sorted, func(i, j int) bool { return key(sorted[i]) < key(sorted[j]) })
	var all [][]Container
	for _, c := range sorted {
		if n := len(all); n > 0 && all[n-1][0].Image == c.Image && all[n-1][0].Policy == c.Policy {
			all[n-1] = append(all[n-1], c)
			continue
		}
		all = append(all, []Container{c})
	}
	return all
}

func (u *Updater) group(ctx context.Context, group []Container) []Result {
	next, err := u.look(ctx, group[0])
	if err != nil {
		return every(group, Failed, err)
	}
	var stale []Container
	for _, c := range group {
		if next.fresh || c.ImageID != next.local.ID {
			stale = append(stale, c)
		}
	}
	done := every(slices.DeleteFunc(slices.Clone(group), func(c Container) bool { return slices.Contains(stale, c) }), No, nil)
	switch {
	case len(stale) == 0:
		return done
	case u.DryRun:
		return append(done, every(stale, Pending, nil)...)
	}
	id, err := u.bring(ctx, stale, next)
	if err != nil {
		return append(done, every(stale, Failed, err)...)
	}
	// What the registry has may be the image that runs, packed in another way.
	runs := func(c Container) bool { return c.ImageID == id }
	others := slices.DeleteFunc(slices.Clone(stale), runs)
	done = append(done, every(slices.DeleteFunc(stale, func(c Container) bool { return !runs(c) }), No, nil)...)
	if len(others) == 0 {
		return done
	}
	return append(done, u.update(ctx, others, change{others[0].Image, others[0].ImageID, id, next.mark})...)
}

// candidate is what a container could be updated to.
type candidate struct {
	local Local
	mark  string // what it is remembered by when it turns out to be bad: digest, or ID of a local image
	fresh bool   // the registry has another one than the store
}

func (u *Updater) look(ctx context.Context, c Container) (candidate, error) {
	local, err := u.Host.Local(ctx, c.Image)
	if err != nil {
		return candidate{}, err
	}
	next := candidate{local: local, mark: local.ID}
	switch c.Policy {
	case "local":
	case "registry", "image":
		if next.mark, err = u.Host.Remote(ctx, c); err != nil {
			return next, err
		}
		next.fresh = !slices.Contains(local.Digests, next.mark)
	default:
		return next, fmt.Errorf("label %s=%s: use registry or local", Label, c.Policy)
	}
	if u.bad(c.Image, next.mark) {
		u.Log(fmt.Sprintf("%s: %s has %s, which did not work before and is left alone", c.Unit, c.Image, next.mark))
		next.fresh, next.local.ID = false, c.ImageID
	}
	return next, nil
}

// bad tells whether an image was tried and did not work, and nothing else has worked since. What was interrupted has no mark.
func (u *Updater) bad(image, mark string) bool {
	for _, e := range slices.Backward(u.Past) {
		if e.Image == image && e.Mark != "" {
			return e.Result != Yes && e.Mark == mark
		}
	}
	return false
}

// bring keeps the images that work and brings the other one in.
func (u *Updater) bring(ctx context.Context, stale []Container, next candidate) (id string, err error) {
	for _, c := range stale {
		if err := u.Host.Tag(ctx, c.ImageID, lastGood(c.Unit)); err != nil {
			return "", fmt.Errorf("keep the image that works: %w", err)
		}
	}
	if !next.fresh {
		return next.local.ID, nil
	}
	return u.Host.Pull(ctx, stale[0])
}

// update restarts the units. When one does not work all of them go back, as they share the name.
func (u *Updater) update(ctx context.Context, stale []Container, ch change) []Result {
	var results []Result
	for i, c := range stale {
		if err := ctx.Err(); err != nil {
			return u.interrupted(ctx, stale, i, ch, err)
		}
		u.Log(fmt.Sprintf("%s: %s is now %s, was %s: restarting", c.Unit, ch.image, short(ch.id), short(c.ImageID)))
		err := u.Host.Restart(ctx, c.Unit, How{})
		switch {
		case err != nil && (ctx.Err() != nil || errors.Is(err, ErrUnseen)):
			return u.interrupted(ctx, stale, i+1, ch, err)
		case err != nil:
			return u.back(ctx, stale, i+1, ch, fmt.Errorf("%s does not work with %s: %w", c.Unit, short(ch.id), err))
		}
		results = append(results, Result{Container: c, Updated: Yes})
	}
	for _, c := range stale {
		u.note(c, ch, Yes, "")
		if err := u.Host.Tag(ctx, ch.id, lastGood(c.Unit)); err != nil {
			u.Log(err.Error())
		}
	}
	return results
}

// change is what an update does to the name of an image.
type change struct{ image, old, id, mark string }

// interrupted goes back from an image of which nothing is known yet, so that the next update tries it again.
func (u *Updater) interrupted(ctx context.Context, stale []Container, restarted int, ch change, why error) []Result {
	ch.mark = ""
	return u.back(ctx, stale, restarted, ch, fmt.Errorf("the update to %s was interrupted: %w", short(ch.id), why))
}

// back gives the name to the old image again and restarts the units that have been restarted with the new one, the first of them
// all. The last one may be down for its image; the others came up with it, and one that is down since is left so.
func (u *Updater) back(ctx context.Context, stale []Container, restarted int, ch change, why error) []Result {
	hurry, byOthers := ch.mark == "", errors.Is(why, ErrStopped) // in a hurry somebody waits for our end
	ctx = context.WithoutCancel(ctx)
	if !u.Rollback {
		u.note(stale[max(0, restarted-1)], ch, Failed, why.Error())
		return every(stale, Failed, why)
	}
	u.Log(fmt.Sprintf("%v: going back to %s", why, short(ch.old)))
	if err := u.Host.Tag(ctx, ch.old, ch.image); err != nil {
		return every(stale, Failed, errors.Join(why, fmt.Errorf("go back: %w", err)))
	}
	var results []Result
	for i, c := range stale {
		r := Result{Container: c, Updated: RolledBack, Err: why}
		if i < restarted {
			how := How{Down: i == restarted-1 && !byOthers, Hurry: hurry}
			if err := u.Host.Restart(ctx, c.Unit, how); err != nil && !errors.Is(err, ErrStopped) {
				r.Updated, r.Err = Failed, errors.Join(why, fmt.Errorf("%s with the old image: %w", c.Unit, err))
			}
		}
		u.note(c, ch, r.Updated, r.Err.Error())
		results = append(results, r)
	}
	return results
}

func (u *Updater) note(c Container, ch change, result, reason string) {
	e := Event{Time: u.Now().UTC(), Unit: c.Unit, Image: c.Image, From: ch.old, To: ch.id, Mark: ch.mark, Result: result, Reason: reason}
	u.Log(e.String())
	if err := u.Record(e); err != nil {
		u.Log("history: " + err.Error())
	}
}

func every(list []Container, updated string, err error) []Result {
	var all []Result
	for _, c := range list {
		all = append(all, Result{Container: c, Updated: updated, Err: err})
	}
	return all
}

// lastGood is the name under which the image of a unit is kept that is known to work. Unit names may hold what names of
// images may not.
func lastGood(unit string) string {
	sum := sha256.Sum256([]byte(unit))
	return "localhost/berth-last-good/" + hex.EncodeToString(sum[:8]) + ":latest"
}

func short(id string) string {
	return strings.TrimPrefix(id, "sha256:")[:min(12, len(strings.TrimPrefix(id, "sha256:")))]
}
