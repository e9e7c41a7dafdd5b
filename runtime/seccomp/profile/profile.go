// Package profile finds seccomp profiles: the default one of Docker, and those
// in files of the OCI's or Docker's format.
//
//	capabilities ──Default──┐
//	file.json ─────Load─────┴──► specs.LinuxSeccomp ──► seccomp.Assemble
package profile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	docker "github.com/moby/profiles/seccomp"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"isoperf/runtime/seccomp"
)

// Default is the profile that Docker gives a container with the spec's
// bounding set: what needs a capability is allowed to those who may have it.
// nil, or a spec without capabilities, has none.
func Default(s *specs.Spec) (*specs.LinuxSeccomp, error) {
	p, err := docker.GetDefaultProfile(bounded(s))
	if err != nil {
		return nil, fmt.Errorf("make the default seccomp profile: %w", err)
	}
	return p, nil
}

// bounded is a spec that has capabilities, if only none.
func bounded(s *specs.Spec) *specs.Spec {
	if s != nil && s.Process != nil && s.Process.Capabilities != nil {
		return s
	}
	return &specs.Spec{Process: &specs.Process{Capabilities: &specs.LinuxCapabilities{}}}
}

// Load reads a profile: an OCI linux.seccomp section, or Docker's format, whose
// conditions are decided by the spec's bounding set, this architecture and the
// kernel. A field that is unknown, or that seccomp.Assemble would refuse, is an
// error that names the file and the field.
func Load(path string, s *specs.Spec) (*specs.LinuxSeccomp, error) {
	body, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("load seccomp profile: %w", err) // it names the path
	}
	if err := check(body); err != nil {
		return nil, fmt.Errorf("load seccomp profile %q: %w", path, err)
	}
	p, err := docker.LoadProfile(string(body), bounded(s))
	if err != nil {
		return nil, fmt.Errorf("load seccomp profile %q: %w", path, err)
	}
	return p, nil
}

// document is a file. Podman's files name each errno beside its number.
type document struct {
	docker.Seccomp
	DefaultErrno string   `json:"defaultErrno"`
	Syscalls     []*entry `json:"syscalls"`
}

type entry struct {
	docker.Syscall
	Name  string `json:"name"` // of one call, in old files
	Errno string `json:"errno"`
}

// check checks every field of a file, also of entries that do not apply here.
func check(body []byte) error {
	var doc document
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&doc); err != nil {
		return located(body, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("there is more after the profile, in line %d; remove it", line(body, d.InputOffset()))
	}
	all := doc.LinuxSeccomp
	all.Syscalls = nil
	for i, e := range doc.Syscalls {
		if e == nil {
			return fmt.Errorf("linux.seccomp.syscalls[%d]: it is null; remove it", i)
		}
		if e.Name != "" && e.Names == nil {
			e.Names = []string{e.Name}
		}
		if err := named(e.Errno, e.ErrnoRet); err != nil {
			return fmt.Errorf("linux.seccomp.syscalls[%d].errno: %w", i, err)
		}
		all.Syscalls = append(all.Syscalls, e.LinuxSyscall)
	}
	for i, m := range doc.ArchMap { // the library takes those of this machine as they are
		names := specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Architectures: append([]specs.Arch{m.Arch}, m.SubArches...)}
		if err := seccomp.Check(&names); err != nil {
			return fmt.Errorf("archMap[%d]: %w", i, err)
		}
	}
	if err := named(doc.DefaultErrno, doc.DefaultErrnoRet); err != nil {
		return fmt.Errorf("linux.seccomp.defaultErrno: %w", err)
	}
	return seccomp.Check(&all)
}

// named checks that an errno's name, if there is one, is that of its number.
func named(name string, errno *uint) error {
	switch {
	case name == "":
		return nil
	case errno == nil:
		return fmt.Errorf("%q has no number beside it; give errnoRet", name)
	case unix.ErrnoName(unix.Errno(*errno)) != name:
		return fmt.Errorf("%q is not errno %d; make them agree", name, *errno)
	}
	return nil
}

// located adds to an error of encoding/json where it is in the file.
func located(body []byte, err error) error {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return fmt.Errorf("line %d: %w; it must be one JSON object", line(body, syntax.Offset), err)
	case errors.As(err, &kind):
		return fmt.Errorf("line %d: field %q: %w", line(body, kind.Offset), kind.Field, err)
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("line %d: it ends too early: %w; it must be one JSON object", line(body, int64(len(body))), err)
	}
	return fmt.Errorf("decode: %w; see the OCI runtime specification, linux.seccomp", err)
}

func line(body []byte, offset int64) int {
	return 1 + bytes.Count(body[:min(offset, int64(len(body)))], []byte("\n"))
}
