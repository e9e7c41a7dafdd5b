// Package bundle writes a container down as an OCI bundle, a directory with a
// config.json, that this runtime and others can run.
//
//	spec.Container ──Check──► what no bundle can say is an error ──Write──► DIR/config.json ──spec.Load──► the same
//
// It is a package of its own so that who only reads bundles does not link
// encoding/json.
package bundle

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"isoperf/runtime/spec"
)

// defaultVersion is the ociVersion of a container that says none.
const defaultVersion = "1.0.2"

// Write writes the container to dir/config.json, and makes dir when it is
// missing. It checks the container, without changing it; the root and the
// sources of binds are written as absolute paths. The name of the container,
// and whether lo comes up, are not part of a bundle. What OCI has no word for
// is an error, and so is a config.json that is there already; an error leaves
// nothing behind.
func Write(c *spec.Container, dir string) error {
	text, err := encode(c)
	if err != nil {
		return fmt.Errorf("write bundle %q: %w", dir, err)
	}
	if err := store(text, dir); err != nil {
		return fmt.Errorf("write bundle %q: %w", dir, err)
	}
	return nil
}

// encode is the container's config.json.
func encode(c *spec.Container) ([]byte, error) {
	if err := expressible(c); err != nil {
		return nil, err
	}
	checked, s := *c, *c.Spec
	checked.Spec = &s
	if s.Version == "" {
		s.Version = defaultVersion
	}
	if checked.ID == "" {
		checked.ID = "bundle" // whoever runs it gives it a name
	}
	if s.Root != nil {
		root := *s.Root
		s.Root = &root
	}
	s.Mounts = slices.Clone(s.Mounts)
	if err := checked.Check(); err != nil {
		return nil, err
	}
	if err := encodable(reflect.ValueOf(s), ""); err != nil {
		return nil, err
	}
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	e.SetIndent("", "\t")
	if err := e.Encode(s); err != nil {
		return nil, fmt.Errorf("encode: %w", err)
	}
	return text.Bytes(), nil
}

// expressible says what a bundle has no word for.
func expressible(c *spec.Container) error {
	if c.Spec == nil {
		return errors.New("the container has no description")
	}
	for _, f := range []struct {
		set  bool
		text string
	}{
		{c.HostRoot, "a bundle has a root file system of its own, and the container sees the host's; give it one"},
		{c.Init, "OCI has no word for an init before the command; leave it out, or make it the command"},
		{c.Overlay, "OCI has no word for a throw-away layer over the root; leave it out, or give a copy"},
		{c.Strict, "OCI has no word for seccomp's strict mode; give a filter"},
		{c.Connected, "OCI has no word for a network that is connected; leave it out, or join a namespace that is"},
	} {
		if f.set {
			return errors.New(f.text)
		}
	}
	return nil
}

// encodable refuses strings that JSON cannot hold: encoding/json would replace
// bytes that are not UTF-8.
func encodable(v reflect.Value, path string) error {
	switch v.Kind() {
	case reflect.String:
		if !utf8.ValidString(v.String()) {
			return fmt.Errorf("%s: %q is not UTF-8, as JSON is", strings.TrimPrefix(path, "."), v.String())
		}
	case reflect.Pointer:
		if !v.IsNil() {
			return encodable(v.Elem(), path)
		}
	case reflect.Slice:
		for i := range v.Len() {
			if err := encodable(v.Index(i), fmt.Sprintf("%s[%d]", path, i)); err != nil {
				return err
			}
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			at := fmt.Sprintf("%s[%q]", path, key.String())
			if err := errors.Join(encodable(key, at), encodable(v.MapIndex(key), at)); err != nil {
				return err
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
			if err := encodable(v.Field(i), path+"."+name); err != nil {
				return err
			}
		}
	}
	return nil
}

// store makes the file.
func store(text []byte, dir string) (err error) {
	switch err := os.Mkdir(dir, 0o755); {
	case err == nil:
		defer func() {
			if _, missing := os.Lstat(filepath.Join(dir, "config.json")); missing != nil {
				_ = os.Remove(dir) // it was made for the file
			}
		}()
	case !errors.Is(err, fs.ErrExist):
		return fmt.Errorf("make it: %w", err)
	}
	name := filepath.Join(dir, "config.json")
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return errors.New("it has a config.json already; remove it, or choose another directory")
	}
	if err != nil {
		return fmt.Errorf("make config.json: %w", err)
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(name))
	}
	return nil
}
