// Command berth-generator is the systemd generator of Quadlet files: it runs at boot and at every daemon-reload, reads the
// unit directories and writes a unit for each file.
//
//	berth-generator [-dryrun] [-user] [-v] [-no-kmsg-log] [-version] NORMAL-DIR [EARLY-DIR LATE-DIR]
//
// It exits with 0, with 1 when a file has errors, and with 2 when its flags are wrong.
package main

import (
	"bufio"
	"errors"
	"os"
	"runtime/debug"
	"strings"

	"github.com/berth-pods/berth/generator"
	"github.com/berth-pods/berth/generator/sources"
	"github.com/berth-pods/berth/installed"
	"github.com/berth-pods/berth/units"
)

func main() {
	// Most runs end before a collection would pay; the limit makes large sets collect.
	debug.SetGCPercent(400)
	debug.SetMemoryLimit(memoryLimit)
	os.Exit(run(os.Args, os.Stdout, os.Stderr))
}

// memoryLimit keeps 5,000 files of usual size within 16 MiB of resident memory. What the files themselves take above
// usualSize is added: a limit below what is in use would have the collector run all the time.
const (
	memoryLimit = 15 << 20
	usualSize   = 4 << 20
	perFile     = 300
)

func raiseMemoryLimit(set generator.Set) {
	size := perFile * len(set.Files)
	for _, s := range set.Files {
		size += len(s.Text)
	}
	if size > usualSize {
		debug.SetMemoryLimit(int64(memoryLimit + 2*(size-usualSize)))
	}
}

func run(args []string, stdout, stderr *os.File) int {
	opts, err := parseFlags(args)
	switch {
	case err == errHelp:
		stderr.WriteString(usage)
		return 0
	case err != nil:
		stderr.WriteString(err.Error() + "\n" + usage)
		return 2
	case opts.report:
		return report(opts.operands, stdout)
	case opts.version:
		stdout.WriteString(installed.Version + "\n")
		return 0
	}
	log := newLog(stderr, opts)
	defer log.close()
	return generate(opts, log, stdout)
}

// report is what the unit of a file with errors starts: it says why and fails.
func report(findings []string, stdout *os.File) int {
	for _, f := range findings {
		stdout.WriteString(f + "\n")
	}
	return 1
}

func generate(opts options, log *logger, stdout *os.File) int {
	if !opts.dryRun && len(opts.operands) == 0 {
		log.error("missing output directory argument")
		return 1
	}
	search := sources.For(os.Getenv, opts.user, os.Getuid())
	for _, warning := range search.Warnings {
		log.warn(warning)
	}
	set, errs := search.Read(log.debug)
	for _, err := range errs {
		log.error(err.Error())
	}
	if len(opts.operands) > 2 && !opts.dryRun {
		set.Live = sources.Live(os.Getenv, opts.user)
	}
	if len(set.Files)+len(set.Live) == 0 {
		log.debug("No files parsed from [" + strings.Join(search.Paths, " ") + "]")
		return log.status()
	}
	raiseMemoryLimit(set)
	cfg := sources.Config(os.Getenv, opts.user, true)
	if path, err := os.Executable(); err == nil {
		cfg.Reporter = path // stubs call this very program
	}
	if opts.dryRun {
		printUnits(cfg, set, log, stdout)
	} else {
		writeUnits(cfg, set, log, opts.operands)
	}
	if log.status() != 0 {
		log.error("processing encountered some errors")
	}
	return log.status()
}

func printUnits(cfg generator.Config, set generator.Set, log *logger, stdout *os.File) {
	w := bufio.NewWriter(stdout)
	defer w.Flush()
	generator.Generate(cfg, set, func(out *generator.Output) {
		log.findings(out)
		if out.Stub || out.Name == "" {
			return
		}
		w.WriteString("---" + out.Name + "---\n")
		w.Write(out.Text)
		w.WriteString("\n")
		for _, also := range out.Also {
			w.WriteString("---" + also.Name + "---\n")
			w.Write(also.Text)
			w.WriteString("\n")
		}
	})
}

func writeUnits(cfg generator.Config, set generator.Set, log *logger, dirs []string) {
	dir := dirs[0]
	w, late := newWriter(dir), newWriter(dirs[len(dirs)-1])
	late.pid += "-late" // the two may be one directory
	generator.Generate(cfg, set, func(out *generator.Output) {
		log.findings(out)
		if out.Name == "" {
			return
		}
		if out.Late {
			if err := late.unit(out); err != nil {
				log.error(err.Error())
			}
			return
		}
		if log.debugs {
			log.debug("Writing " + dir + "/" + out.Name)
			for _, link := range out.Links {
				log.debug("Linking " + dir + "/" + link.Name + " to " + link.Target)
			}
		}
		if err := w.unit(out); err != nil {
			log.error(err.Error())
		}
		for i := range out.Also {
			if err := w.unit(&out.Also[i]); err != nil {
				log.error(err.Error())
			}
		}
	})
	if cfg.User {
		if err := w.unit(generator.WaitOnline()); err != nil {
			log.error(err.Error())
		}
	}
	if err := errors.Join(w.commit(), late.commit()); err != nil {
		log.error(err.Error())
	}
}

// findings prints what is wrong with a file, with the whole path, and in the wording that tools look for.
func (l *logger) findings(out *generator.Output) {
	for _, f := range out.Findings {
		text := f.String()
		if f.Quadlet != "" {
			text += " (" + f.Quadlet + ")"
		}
		if f.Severity == units.Error {
			l.error(text)
		} else {
			l.warn(text)
		}
	}
}
