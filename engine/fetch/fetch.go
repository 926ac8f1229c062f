// Package fetch gets one small file from a web server. It is a package, and berth-fetch a program, of its own because the
// HTTP client costs berth 3 MB and a fifth of its start-up time.
package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"
)

// MaxSize is the most bytes that a file may have, and MaxTime the longest that a transfer may take in all.
const (
	MaxSize = 16 << 20
	MaxTime = 60 * time.Second
)

// maxRedirects bounds how often a server may point elsewhere.
const maxRedirects = 5

// File is what a server sent.
type File struct {
	// Name is a plain file name: from Content-Disposition, else the last part of the address.
	Name string
	Body []byte
}

// IsURL reports whether a word is an address and not a path.
func IsURL(word string) bool {
	return strings.HasPrefix(word, "http://") || strings.HasPrefix(word, "https://")
}

// Get fetches address. Any status but 200 is an error, and so is a redirection from https to http.
func Get(ctx context.Context, address string) (File, error) {
	file, err := get(ctx, address)
	var failed *url.Error
	if errors.As(err, &failed) {
		err = failed.Err // without the address, which is said once
	}
	if err != nil {
		return File{}, fmt.Errorf("fetch %s: %w", redacted(address), err)
	}
	return file, nil
}

// redacted is the address without its password.
func redacted(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "the address"
	}
	return u.Redacted()
}

func get(ctx context.Context, address string) (File, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, MaxTime, errors.New("the server is too slow"))
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return File{}, err
	}
	client := http.Client{CheckRedirect: checkRedirect}
	response, err := client.Do(request)
	if err != nil {
		return File{}, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return File{}, fmt.Errorf("the server answers %s", response.Status)
	}
	name, err := fileName(response.Header.Get("Content-Disposition"), request.URL)
	if err != nil {
		return File{}, err
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, MaxSize+1))
	if err == nil && len(body) > MaxSize {
		err = fmt.Errorf("the file has more than %d bytes", MaxSize)
	}
	return File{Name: name, Body: body}, err
}

func checkRedirect(request *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return fmt.Errorf("the server redirects more than %d times", maxRedirects)
	}
	if via[0].URL.Scheme == "https" && request.URL.Scheme != "https" {
		return fmt.Errorf("the server redirects to %s, which is not encrypted", request.URL.Redacted())
	}
	return nil
}

// fileName takes the name that the server gives, else the last part of the address. A name that is a path is refused and
// not shortened: somebody tries something.
func fileName(disposition string, address *url.URL) (string, error) {
	name := path.Base(address.Path)
	if _, params, err := mime.ParseMediaType(disposition); err == nil && params["filename"] != "" {
		name = params["filename"]
	}
	if name == "." || name == ".." || name == "/" || strings.ContainsAny(name, `/\`) || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return "", fmt.Errorf("%q is no file name", name)
	}
	return name, nil
}
