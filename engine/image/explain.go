//go:build containers_image_openpgp

package image

import (
	"archive/tar"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"

	"github.com/docker/distribution/registry/api/errcode"
	v2 "github.com/docker/distribution/registry/api/v2"
	"go.podman.io/image/v5/docker"
	"go.podman.io/image/v5/signature"
	"go.podman.io/storage"
	"golang.org/x/sys/unix"

	"github.com/berth-pods/berth/engine/image/name"
)

// explain puts the errors that people meet into one sentence with what to do. The cause stays inside for errors.Is.
func explain(err error) error {
	say := func(s string) error { return sentence{s, err} }
	var refused refusal
	var rejected signature.PolicyRequirementError
	var path *os.PathError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refused):
		return say(refused.Error())
	case errors.As(err, &rejected):
		return say("refused by the signature policy: " + string(rejected) + " (policy.json decides, see containers-policy.json(5))")
	case errors.Is(err, context.Canceled):
		return say("interrupted")
	case errors.Is(err, syscall.ENOSPC):
		return say("no space left: " + err.Error())
	case errors.As(err, &path) && errors.Is(path.Err, os.ErrNotExist) && (strings.HasPrefix(path.Op, "open") || path.Op == "stat"):
		return say("there is no file " + path.Path)
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, tar.ErrHeader):
		return say("the data ends too early or is damaged: fetch it again (" + err.Error() + ")")
	}
	if errors.Is(err, errDamaged) {
		return say("a layer is damaged, its digest is not the one that the image names (" + err.Error() + ")")
	}
	if _, digests, found := strings.Cut(err.Error(), "Digest did not match, "); found {
		return say("a layer is damaged, its digest is not the one that the image names: fetch it again (" + digests + ")")
	}
	if strings.Contains(err.Error(), "Would invalidate signatures") {
		return say("the image has signatures, which are for the form in which it was pulled: give --remove-signatures, and sign it anew")
	}
	if strings.Contains(err.Error(), "\n") {
		return say(strings.ReplaceAll(strings.TrimSpace(err.Error()), "\n", "; "))
	}
	return err
}

// damaged tells of a layer that is not what its digest says.
func damaged(err error) bool {
	return errors.Is(err, errDamaged) || strings.Contains(err.Error(), "Digest did not match, ")
}

// explainPull does the same for what registries answer.
func explainPull(err error, registry string) error {
	say := func(s string) error { return sentence{s, err} }
	var unauthorized docker.ErrUnauthorizedForCredentials
	var unknown x509.UnknownAuthorityError
	var dns *net.DNSError
	var open plaintext
	switch {
	case errors.As(err, &open):
		return say(registry + " wants the credentials sent to " + open.place.Redacted() + ", which is without TLS: if that is meant, give --tls-verify=false, or set insecure=true for " +
			open.place.Host + " in registries.conf")
	case hasCode(err, v2.ErrorCodeManifestUnknown), hasStatus(err, http.StatusNotFound):
		return say(registry + " has no image of this name and tag: check both")
	case hasCode(err, v2.ErrorCodeNameUnknown), hasCode(err, errcode.ErrorCodeDenied):
		return say(registry + " has no such image, or shows it only to those who are logged in: check the name, or give --creds or --authfile")
	case errors.As(err, &unauthorized), hasCode(err, errcode.ErrorCodeUnauthorized), hasStatus(err, http.StatusUnauthorized), hasStatus(err, http.StatusForbidden):
		return say(registry + " wants other credentials: log in to it, or give --creds USER:PASSWORD or --authfile FILE")
	case errors.Is(err, docker.ErrTooManyRequests), hasCode(err, errcode.ErrorCodeTooManyRequests):
		return say(registry + " limits how often it may be asked: try later, or log in to it")
	case errors.Is(err, http.ErrSchemeMismatch):
		return say(registry + " does not speak TLS: give --tls-verify=false, or set insecure=true for it in registries.conf")
	case errors.As(err, &unknown):
		return say("the certificate of " + registry + " is signed by nobody this machine knows: put the CA into /etc/containers/certs.d/" + registry + "/ca.crt")
	case errors.Is(err, syscall.ECONNREFUSED) && registry == name.Local && !strings.Contains(err.Error(), "at destination"):
		return say("it is not in the store, and no registry has names of localhost, which are for images loaded or built here: load it with berth load")
	case errors.Is(err, syscall.ECONNREFUSED):
		return say("nothing answers at " + registry + " (connection refused): is the registry running, and is the port right?")
	case errors.As(err, &dns) && dns.IsNotFound:
		return say("there is no host called " + dns.Name + ": check the name and the DNS servers")
	}
	return explain(err)
}

// A sentence is an error with words of its own in place of its cause's.
type sentence struct {
	words string
	cause error
}

func (s sentence) Error() string { return s.words }
func (s sentence) Unwrap() error { return s.cause }

func hasStatus(err error, status int) bool {
	var unexpected docker.UnexpectedHTTPStatusError
	return errors.As(err, &unexpected) && unexpected.StatusCode == status
}

func hasCode(err error, code errcode.ErrorCode) bool {
	var one errcode.Error
	var bare errcode.ErrorCode
	var all errcode.Errors
	switch {
	case errors.As(err, &one):
		return one.Code == code
	case errors.As(err, &bare):
		return bare == code
	case errors.As(err, &all):
		for _, e := range all {
			if hasCode(e, code) {
				return true
			}
		}
	}
	return false
}

// transient tells whether trying again can help: the link broke, the registry is too busy, or a layer was removed meanwhile. An answer that will not
// change, such as "no such image", is none.
func transient(err error) bool {
	var rejected signature.PolicyRequirementError
	var status docker.UnexpectedHTTPStatusError
	var dns *net.DNSError
	var link net.Error
	switch {
	case err == nil, errors.Is(err, context.Canceled), errors.As(err, &rejected), errors.Is(err, http.ErrSchemeMismatch), errors.Is(err, errExhausted):
		return false
	case errors.Is(err, errSpoilt), errors.Is(err, errStalled):
		return true
	case errors.Is(err, storage.ErrLayerUnknown), errors.Is(err, storage.ErrParentUnknown): // it went with the last image that had it
		return true
	case errors.Is(err, syscall.ENOSPC):
		return false
	case errors.As(err, &status):
		return status.StatusCode >= 500 || status.StatusCode == http.StatusRequestTimeout || status.StatusCode == http.StatusTooManyRequests
	case errors.Is(err, docker.ErrTooManyRequests), hasCode(err, errcode.ErrorCodeTooManyRequests), hasCode(err, errcode.ErrorCodeUnavailable):
		return true
	case errors.As(err, &dns):
		return !dns.IsNotFound
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF): // an EOF where an answer should be
		return true
	}
	for _, broken := range []syscall.Errno{syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.ECONNABORTED, syscall.EPIPE,
		syscall.ENETUNREACH, syscall.ENETDOWN, syscall.EHOSTUNREACH, syscall.ETIMEDOUT} {
		if errors.Is(err, broken) {
			return true
		}
	}
	return errors.As(err, &link) && link.Timeout()
}

// A pullFailure lists why none of the names that were tried could be pulled.
func pullFailure(asked string, tried []error) error {
	if len(tried) == 1 {
		return fmt.Errorf("pull %s: %w", asked, tried[0])
	}
	return fmt.Errorf("pull %s: %w", asked, errors.Join(tried...))
}

// space tells, of an error by which a disk was full, where there is how much room.
func (im *Images) space(err error) error {
	if !errors.Is(err, syscall.ENOSPC) && !strings.Contains(err.Error(), syscall.ENOSPC.Error()) {
		return err
	}
	var known noRoom
	if errors.As(err, &known) {
		return known
	}
	var free []string
	for _, dir := range []string{im.store.GraphRoot(), im.sys.BigFilesTemporaryDir} {
		var st unix.Statfs_t
		if unix.Statfs(dir, &st) != nil {
			continue
		}
		has := HumanSize(int64(st.Bavail) * st.Bsize)
		if st.Files > 0 { // some file systems make inodes as they need them
			has += fmt.Sprintf(" and %d inodes", st.Ffree)
		}
		free = append(free, dir+" has "+has+" free")
	}
	return fmt.Errorf("%w (now that it was given up, %s): %w", syscall.ENOSPC, strings.Join(free, ", "), err)
}
