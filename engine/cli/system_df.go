package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/pflag"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/proc"
	"github.com/berth-pods/berth/engine/store"
)

type dfOptions struct {
	verbose bool
	format  string
}

func (o *dfOptions) flags(set *pflag.FlagSet) {
	set.StringVar(&o.format, "format", "table", "`FORM` of the output: table, json, or a template such as {{.Type}}")
	set.BoolVarP(&o.verbose, "verbose", "v", false, "print a line for each image, container and volume")
}

func systemDfVerb() Verb {
	var o dfOptions
	return Verb{
		Name: "system df", Usage: "[OPTION…]", Summary: "show how much space images, containers and volumes take",
		Text:  "Looks at all files of containers and volumes. Reclaimable is what is not in use: images without a container, containers that do not run, volumes that no container has.",
		Flags: o.flags, Userns: namespaceNeeded, Run: runSystemDf,
	}
}

// usage is all that takes space.
type usage struct {
	images     []usedImage
	containers []usedContainer
	volumes    []usedVolume
}

// usedImage is a row of `berth images --format json`.
type usedImage struct {
	ID         string `json:"Id"`
	Names      []string
	Size       int64
	Containers int
	CreatedAt  time.Time
}

type usedContainer struct {
	engine.State
	status string
	size   int64
}

type usedVolume struct {
	store.Volume
	users int
	size  int64
}

// dfRow has the names of Podman's `system df --format json`.
type dfRow struct {
	Type           string
	Total          int
	Active         int
	RawSize        int64
	RawReclaimable int64
	TotalCount     int
	Size           string
	Reclaimable    string
}

func runSystemDf(ctx context.Context, env *Env, args []string) error {
	var o dfOptions
	set := newFlagSet("system df")
	o.flags(set)
	if err := parseAlone(set, args); err != nil {
		return err
	}
	u, err := takeUsage(ctx, env)
	if err != nil {
		return err
	}
	if o.verbose {
		return u.print(env.Out)
	}
	return printList(env.Out, listing{format: o.format}, u.rows(), table[dfRow]{
		headings: []string{"TYPE", "TOTAL", "ACTIVE", "SIZE", "RECLAIMABLE"},
		cells: func(r dfRow) []string {
			return []string{r.Type, fmt.Sprint(r.Total), fmt.Sprint(r.Active), r.Size, r.Reclaimable}
		},
	})
}

// imagesOf asks berth-image for all images, which lists one once for each of its names.
func imagesOf(ctx context.Context, env *Env) (list []usedImage, err error) {
	out, err := env.Run(ctx, proc.Command{Path: helper("berth-image"), Args: []string{"images", "--format", "json"}})
	var named []usedImage
	if err == nil {
		err = json.Unmarshal(out, &named)
	}
	if err != nil {
		return nil, fmt.Errorf("list the images: %w", err)
	}
	for _, one := range named {
		if len(list) == 0 || one.ID != list[len(list)-1].ID {
			list = append(list, one)
		}
	}
	return list, nil
}

func takeUsage(ctx context.Context, env *Env) (u usage, err error) {
	if u.images, err = imagesOf(ctx, env); err != nil {
		return u, err
	}
	all, err := runDirs().All()
	if err != nil {
		return u, err
	}
	images := &store.Store{}
	for _, s := range all {
		written, _, err := images.Sizes(s.ID)
		if err != nil {
			return u, err
		}
		u.containers = append(u.containers, usedContainer{s, status(s), written})
	}
	list, err := volumes().List()
	if err != nil {
		return u, err
	}
	for _, v := range list {
		users, err := runDirs().VolumeUsers(v.Name)
		if err != nil {
			return u, err
		}
		u.volumes = append(u.volumes, usedVolume{v, len(users), treeSize(v.Path)})
	}
	return u, nil
}

// treeSize is the size of all files below a directory, each once; those that are gone meanwhile count nothing.
func treeSize(dir string) (size int64) {
	seen := map[uint64]bool{}
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil //nolint:nilerr // what cannot be read has no size
		}
		info, err := d.Info()
		if err != nil {
			return nil //nolint:nilerr // as above
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Nlink > 1 {
			if seen[st.Ino] {
				return nil
			}
			seen[st.Ino] = true
		}
		size += info.Size()
		return nil
	})
	return size
}

func (u usage) rows() []dfRow {
	images, containers, vols := dfRow{Type: "Images"}, dfRow{Type: "Containers"}, dfRow{Type: "Local Volumes"}
	for _, i := range u.images {
		images.add(i.Size, i.Containers > 0)
	}
	for _, c := range u.containers {
		containers.add(c.size, c.status == "running" || c.status == "paused")
	}
	for _, v := range u.volumes {
		vols.add(v.size, v.users > 0)
	}
	rows := []dfRow{images, containers, vols}
	for i := range rows {
		r := &rows[i]
		percent := int64(0)
		if r.RawSize > 0 {
			percent = r.RawReclaimable * 100 / r.RawSize
		}
		r.Size, r.Reclaimable = humanSize(r.RawSize, 4), fmt.Sprintf("%s (%d%%)", humanSize(r.RawReclaimable, 4), percent)
	}
	return rows
}

func (r *dfRow) add(size int64, active bool) {
	r.Total, r.TotalCount, r.RawSize = r.Total+1, r.TotalCount+1, r.RawSize+size
	if active {
		r.Active++
	} else {
		r.RawReclaimable += size
	}
}

// print prints all there is, one a line.
func (u usage) print(w io.Writer) error {
	fmt.Fprint(w, "Images space usage:\n\n")
	err := printList(w, listing{}, u.images, table[usedImage]{
		headings: []string{"REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE", "CONTAINERS"},
		cells: func(i usedImage) []string {
			name, tag := "<none>", "<none>"
			if len(i.Names) > 0 {
				name, tag = i.Names[0], ""
				if at := strings.LastIndex(name, ":"); at > strings.LastIndex(name, "/") {
					name, tag = name[:at], name[at+1:]
				}
			}
			return []string{printable(name), tag, shortID(i.ID, false), age(time.Since(i.CreatedAt)), humanSize(i.Size, 4), fmt.Sprint(i.Containers)}
		},
	})
	if err != nil {
		return err
	}
	fmt.Fprint(w, "\nContainers space usage:\n\n")
	err = printList(w, listing{}, u.containers, table[usedContainer]{
		headings: []string{"CONTAINER ID", "IMAGE", "COMMAND", "LOCAL VOLUMES", "SIZE", "CREATED", "STATUS", "NAMES"},
		cells: func(c usedContainer) []string {
			r := psRow{State: &c.State}
			return []string{
				shortID(c.ID, false), shortID(c.ImageID, false), r.command(), fmt.Sprint(len(mountsOf(c.State))), humanSize(c.size, 4), age(time.Since(c.Created)), c.status, c.Name,
			}
		},
	})
	if err != nil {
		return err
	}
	fmt.Fprint(w, "\nLocal Volumes space usage:\n\n")
	return printList(w, listing{}, u.volumes, table[usedVolume]{
		headings: []string{"VOLUME NAME", "LINKS", "SIZE"},
		cells:    func(v usedVolume) []string { return []string{v.Name, fmt.Sprint(v.users), humanSize(v.size, 4)} },
	})
}
