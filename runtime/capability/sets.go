package capability

import (
	"fmt"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Sets are the five sets of a process, as config.json has them under
// process.capabilities; see capabilities(7), "Thread capability sets".
type Sets struct {
	Bounding    Set // what execve can give at most
	Effective   Set // what the kernel's checks look at
	Permitted   Set // what can be made effective
	Inheritable Set // what a file's inheritable set lets through execve
	Ambient     Set // what is kept through execve by a user other than root
}

// Same is what a container's command has for a set: it is bounding, effective
// and permitted. Nothing is inheritable, so that a user other than root gets
// none of it from files (CVE-2022-24769).
func Same(s Set) Sets { return Sets{Bounding: s, Effective: s, Permitted: s} }

// fields are the sets in the order and with the names of config.json.
func (s *Sets) fields() [5]field {
	return [5]field{
		{"bounding", &s.Bounding}, {"effective", &s.Effective}, {"inheritable", &s.Inheritable},
		{"permitted", &s.Permitted}, {"ambient", &s.Ambient},
	}
}

type field struct {
	name string
	set  *Set
}

// FromOCI reads process.capabilities of config.json. nil means that all five
// sets are empty. The names are exactly those of capabilities(7), as the
// specification has it; another is an error that names the field.
func FromOCI(c *specs.LinuxCapabilities) (Sets, error) {
	var s Sets
	if c == nil {
		return s, nil
	}
	lists := [5][]string{c.Bounding, c.Effective, c.Inheritable, c.Permitted, c.Ambient}
	for i, f := range s.fields() {
		for j, text := range lists[i] {
			one, err := parseOne(text, text)
			if err != nil {
				return Sets{}, fmt.Errorf("read process.capabilities.%s[%d]: %w", f.name, j, err)
			}
			*f.set |= one
		}
	}
	return s, nil
}

// OCI is the sets as config.json has them.
func (s Sets) OCI() *specs.LinuxCapabilities {
	return &specs.LinuxCapabilities{
		Bounding: s.Bounding.Names(), Effective: s.Effective.Names(), Inheritable: s.Inheritable.Names(),
		Permitted: s.Permitted.Names(), Ambient: s.Ambient.Names(),
	}
}

// Check says what the kernel would refuse of sets that a process without
// inheritable capabilities, as one is after clone and execve as root, asks for:
// capset(2) and PR_CAP_AMBIENT_RAISE of prctl(2) answer EPERM. It does not know
// what the caller itself may give; see Within.
func (s Sets) Check() error {
	for _, rule := range []struct {
		part, whole string
		excess      Set
	}{
		{"effective", "permitted", s.Effective &^ s.Permitted},
		{"inheritable", "bounding", s.Inheritable &^ s.Bounding},
		{"ambient", "permitted", s.Ambient &^ s.Permitted},
		{"ambient", "inheritable", s.Ambient &^ s.Inheritable},
	} {
		if rule.excess != 0 {
			return fmt.Errorf("check capabilities: %s has %v, which %s has not, and the kernel refuses that; add it to %s or take it from %s",
				rule.part, rule.excess, rule.whole, rule.whole, rule.part)
		}
	}
	return nil
}

// Within is what of the sets a process with these permitted capabilities can
// give, and what it lacks for the rest. The bounding set stays: it only ever
// shrinks.
func (s Sets) Within(permitted Set) (given Sets, lack Set) {
	lack = s.Permitted &^ permitted
	for _, set := range []*Set{&s.Effective, &s.Permitted, &s.Inheritable, &s.Ambient} {
		*set &^= lack
	}
	return s, lack
}
