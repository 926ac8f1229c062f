package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-pods/berth/engine/proc"
	"github.com/berth-pods/berth/engine/spec"
)

// describing reads the JSON files of the directories, sorted by name; a file of a later directory hides one of the same
// name. What others may write decides about nobody's containers.
func describing(dirs []string, read func(path string, text []byte) error) error {
	files := map[string]string{}
	for _, dir := range dirs {
		info, err := os.Stat(dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if owner := info.Sys().(*syscall.Stat_t).Uid; info.Mode().Perm()&0o022 != 0 || os.Getuid() == 0 && owner != 0 && owner != nobody {
			return fmt.Errorf("%s can be written to by others: what is in it is not trusted; make it root's, with mode 0755", dir)
		}
		list, err := filepath.Glob(filepath.Join(dir, "*.json"))
		if err != nil {
			return err
		}
		for _, path := range list {
			files[filepath.Base(path)] = path
		}
	}
	for _, name := range spec.SortedKeys(files) {
		text, err := os.ReadFile(files[name])
		if err != nil {
			return err
		}
		if err := read(files[name], text); err != nil {
			return err
		}
	}
	return nil
}

// nobody is whom root's files belong to, as seen in a user's namespace (user_namespaces(7), overflowuid).
const nobody = 65534

// addHooks adds the host's hooks to the configuration, and calls those that may still change it.
func (e *Engine) addHooks(ctx context.Context, config **specs.Spec, bindMounts bool) error {
	var hooks []spec.Hook
	err := describing(e.HookDirs, func(path string, text []byte) error {
		h, err := spec.ParseHook(path, text)
		hooks = append(hooks, h)
		return err
	})
	if err != nil {
		return err
	}
	for _, h := range spec.AddHooks(*config, hooks, bindMounts) {
		if err := e.precreate(ctx, config, h); err != nil {
			return fmt.Errorf("hook %s: %w", h.Path, err)
		}
	}
	return nil
}

// precreate gives the configuration to a hook, which answers with the one to use, or with nothing.
func (e *Engine) precreate(ctx context.Context, config **specs.Spec, h specs.Hook) error {
	if h.Timeout != nil {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, time.Duration(*h.Timeout)*time.Second)
		defer stop()
	}
	text, err := json.Marshal(*config)
	if err != nil {
		return err
	}
	c := proc.Command{Path: h.Path, Env: h.Env, Stdin: bytes.NewReader(text)}
	if len(h.Args) > 1 {
		c.Args = h.Args[1:]
	}
	out, err := e.Programs(ctx, c)
	if err != nil || len(bytes.TrimSpace(out)) == 0 {
		return err
	}
	var changed specs.Spec
	if err := json.Unmarshal(out, &changed); err != nil {
		return fmt.Errorf("its answer is no configuration: %w", err)
	}
	*config = &changed
	return nil
}
