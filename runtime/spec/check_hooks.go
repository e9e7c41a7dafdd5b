package spec

import (
	"fmt"
	"path"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// checkHooks checks the programs that are to run beside the container's life.
// Whether they are there is found when their time comes: some are in the
// container.
func (c *Container) checkHooks() error {
	h := c.Hooks
	if h == nil {
		return nil
	}
	for _, kind := range []struct {
		name string
		list []specs.Hook
	}{
		{"prestart", h.Prestart}, //nolint:staticcheck // it is deprecated, and still to be run
		{"createRuntime", h.CreateRuntime}, {"createContainer", h.CreateContainer}, {"startContainer", h.StartContainer},
		{"poststart", h.Poststart}, {"poststop", h.Poststop},
	} {
		for i, hook := range kind.list {
			if err := checkHook(fmt.Sprintf("hooks.%s[%d]", kind.name, i), hook); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkHook(field string, h specs.Hook) error {
	list := []refusal{
		{!path.IsAbs(h.Path), fmt.Sprintf("%s.path: %q is not absolute", field, h.Path)},
		{strings.IndexByte(h.Path, 0) >= 0, field + ".path: it contains a NUL"},
		{h.Timeout != nil && *h.Timeout <= 0, field + ".timeout: it is in seconds, and has to be greater than zero; leave it out for none"},
	}
	for _, words := range []struct {
		name string
		list []string
	}{{"args", h.Args}, {"env", h.Env}} {
		for i, w := range words.list {
			list = append(list, refusal{strings.IndexByte(w, 0) >= 0, fmt.Sprintf("%s.%s[%d]: it contains a NUL", field, words.name, i)})
		}
	}
	return first(list)
}
