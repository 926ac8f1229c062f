package spec

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// HealthFlags are the flags about how a container's health is found out, as they were given.
type HealthFlags struct {
	NoHealth        bool   `json:"noHealth,omitempty"`
	HealthCmd       string `json:"healthCmd,omitempty"`
	HealthInterval  string `json:"healthInterval,omitempty"`
	HealthTimeout   string `json:"healthTimeout,omitempty"`
	HealthRetries   string `json:"healthRetries,omitempty"`
	HealthStart     string `json:"healthStartPeriod,omitempty"`
	HealthOnFailure string `json:"healthOnFailure,omitempty"`
	HealthLogDir    string `json:"healthLogDestination,omitempty"`
	HealthLogCount  string `json:"healthLogCount,omitempty"`
	HealthLogSize   string `json:"healthLogSize,omitempty"`
	StartupCmd      string `json:"startupCmd,omitempty"`
	StartupInterval string `json:"startupInterval,omitempty"`
	StartupRetries  string `json:"startupRetries,omitempty"`
	StartupSuccess  string `json:"startupSuccess,omitempty"`
	StartupTimeout  string `json:"startupTimeout,omitempty"`
}

// ImageHealth is the HEALTHCHECK of an image, as Docker writes it.
type ImageHealth struct {
	Test                           []string
	Interval, Timeout, StartPeriod time.Duration
	Retries                        int
}

// Health is how a container's health is found out.
type Health struct {
	Command     []string      `json:"command"`
	Interval    time.Duration `json:"interval"` // 0: only when somebody asks
	Timeout     time.Duration `json:"timeout"`
	Retries     int           `json:"retries"` // failures in a row that make it unhealthy
	StartPeriod time.Duration `json:"startPeriod"`
	OnFailure   string        `json:"onFailure"` // none, kill, restart, stop
	LogDir      string        `json:"logDir,omitempty"`
	LogCount    int           `json:"logCount"`
	LogSize     int           `json:"logSize"`
	// Startup is another probe for the time until it has succeeded often enough.
	Startup *Startup `json:"startup,omitempty"`
}

// Startup is the probe of a container that is starting.
type Startup struct {
	Command  []string      `json:"command"`
	Interval time.Duration `json:"interval"`
	Timeout  time.Duration `json:"timeout"`
	Retries  int           `json:"retries"` // failures after which the container is restarted; 0 is never
	Success  int           `json:"success"` // successes that end it
}

// ParseHealth reads the flags, and the image's health check where they do not say otherwise; nil means none.
func ParseHealth(f HealthFlags, image *ImageHealth) (*Health, error) {
	h := &Health{
		Interval: 30 * time.Second, Timeout: 30 * time.Second, Retries: 3, OnFailure: "none", LogCount: 5, LogSize: 500,
	}
	if image != nil {
		h.takeImage(*image)
	}
	if f.HealthCmd != "" {
		h.Command = healthCommand(f.HealthCmd)
	}
	p := healthParser{}
	p.duration("health-interval", f.HealthInterval, &h.Interval, true)
	p.duration("health-timeout", f.HealthTimeout, &h.Timeout, false)
	p.duration("health-start-period", f.HealthStart, &h.StartPeriod, true)
	p.number("health-retries", f.HealthRetries, &h.Retries, 1)
	p.number("health-max-log-count", f.HealthLogCount, &h.LogCount, 0)
	p.number("health-max-log-size", f.HealthLogSize, &h.LogSize, 0)
	if f.HealthOnFailure != "" {
		h.OnFailure = f.HealthOnFailure
	}
	if known := []string{"none", "kill", "restart", "stop"}; !slices.Contains(known, h.OnFailure) {
		p.fail(fmt.Errorf("--health-on-failure=%s: known are %s", h.OnFailure, strings.Join(known, ", ")))
	}
	switch {
	case f.HealthLogDir == "" || f.HealthLogDir == "local":
	case strings.HasPrefix(f.HealthLogDir, "/"):
		h.LogDir = f.HealthLogDir
	default:
		p.fail(fmt.Errorf("--health-log-destination=%s: write local or the absolute path of a directory", f.HealthLogDir))
	}
	h.Startup = p.startup(f)
	switch {
	case p.err != nil:
		return nil, p.err
	case f.NoHealth:
		return nil, nil
	case len(h.Command) == 0 && h.Startup != nil:
		return nil, fmt.Errorf("--health-startup-cmd needs --health-cmd, which takes over when it has succeeded")
	case len(h.Command) == 0:
		return nil, nil
	}
	return h, nil
}

func (h *Health) takeImage(i ImageHealth) {
	h.Command = testCommand(i.Test)
	for _, d := range []struct {
		to   *time.Duration
		from time.Duration
	}{{&h.Interval, i.Interval}, {&h.Timeout, i.Timeout}, {&h.StartPeriod, i.StartPeriod}} {
		if d.from > 0 {
			*d.to = d.from
		}
	}
	if i.Retries > 0 {
		h.Retries = i.Retries
	}
}

// healthCommand reads a command line for a shell, or a JSON array of words; none switches the check off.
func healthCommand(s string) []string {
	var words []string
	if json.Unmarshal([]byte(s), &words) == nil && len(words) > 0 {
		if known := strings.ToUpper(words[0]); known == "CMD" || known == "CMD-SHELL" || known == "NONE" {
			return testCommand(words)
		}
		if len(words) == 1 {
			return shell(words[0])
		}
		return words
	}
	word, rest, _ := strings.Cut(strings.TrimSpace(s), " ")
	switch strings.ToUpper(word) {
	case "NONE":
		return nil
	case "CMD":
		return strings.Fields(rest)
	case "CMD-SHELL":
		return shell(rest)
	}
	return shell(s)
}

// testCommand reads the form that Docker keeps: CMD and words, CMD-SHELL and a command line, or NONE.
func testCommand(test []string) []string {
	if len(test) < 2 {
		return nil
	}
	switch strings.ToUpper(test[0]) {
	case "CMD":
		return test[1:]
	case "CMD-SHELL":
		return shell(test[1])
	}
	return nil
}

func shell(line string) []string { return []string{"/bin/sh", "-c", line} }

// healthParser reads values and keeps the first error.
type healthParser struct{ err error }

func (p *healthParser) fail(err error) {
	if p.err == nil {
		p.err = err
	}
}

// duration reads a time; zero says that it may be 0, or "disable".
func (p *healthParser) duration(flag, s string, to *time.Duration, zero bool) {
	if s == "" {
		return
	}
	if zero && (s == "disable" || s == "0") {
		*to = 0
		return
	}
	d, err := time.ParseDuration(s)
	if n, numberErr := strconv.Atoi(s); numberErr == nil {
		d, err = time.Duration(n)*time.Second, nil
	}
	switch {
	case err != nil:
		p.fail(fmt.Errorf("--%s=%s is not a time such as 30s or 1m30s", flag, s))
	case d < 0 || !zero && d < time.Second:
		p.fail(fmt.Errorf("--%s=%s is too short", flag, s))
	}
	*to = d
}

func (p *healthParser) number(flag, s string, to *int, least int) {
	if s == "" {
		return
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < least {
		p.fail(fmt.Errorf("--%s=%s is not a number from %d on", flag, s, least))
	}
	*to = n
}

func (p *healthParser) startup(f HealthFlags) *Startup {
	s := &Startup{Interval: 30 * time.Second, Timeout: 30 * time.Second}
	p.duration("health-startup-interval", f.StartupInterval, &s.Interval, false)
	p.duration("health-startup-timeout", f.StartupTimeout, &s.Timeout, false)
	p.number("health-startup-retries", f.StartupRetries, &s.Retries, 0)
	p.number("health-startup-success", f.StartupSuccess, &s.Success, 0)
	s.Success = max(s.Success, 1)
	if f.StartupCmd != "" {
		s.Command = healthCommand(f.StartupCmd)
	}
	if len(s.Command) == 0 {
		return nil
	}
	return s
}
