package idmap

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Subordinate maps a user and group to root inside, and from 1 on the ranges
// that the user has in /etc/subuid and /etc/subgid, by name or by number; see
// subuid(5). Where a file has none, getsubids(1) is asked, which knows other
// sources of nsswitch.conf(5). An empty name means that the user has none. The
// error says what to add when there is nothing.
func Subordinate(username string, uid, gid int) (Maps, error) {
	return sources{"/etc/subuid", "/etc/subgid", findProgram}.subordinate(username, uid, gid)
}

// sources are where ranges come from.
type sources struct {
	subuid, subgid string
	find           finder
}

// span is a range of ids, as a line "name:first:size" gives it.
type span struct{ first, size uint32 }

func (s sources) subordinate(username string, uid, gid int) (Maps, error) {
	uids, err := s.ranges(s.subuid, false, username, uid)
	if err != nil {
		return Maps{}, err
	}
	gids, err := s.ranges(s.subgid, true, username, uid)
	if err != nil {
		return Maps{}, err
	}
	if len(uids) == 0 || len(gids) == 0 {
		return Maps{}, s.nothing(username, uid, len(uids) == 0, len(gids) == 0)
	}
	m := Own(uid, gid)
	m.UIDs, m.GIDs = behind(m.UIDs, uids), behind(m.GIDs, gids)
	if err := m.Check(); err != nil {
		return Maps{}, fmt.Errorf("make id maps of %s and %s: %w", s.subuid, s.subgid, err)
	}
	return m, nil
}

// behind appends the ranges to a map, each where the one before it ends.
func behind(list []specs.LinuxIDMapping, ranges []span) []specs.LinuxIDMapping {
	next := uint32(1)
	for _, r := range ranges {
		list = append(list, specs.LinuxIDMapping{ContainerID: next, HostID: r.first, Size: r.size})
		next += r.size
	}
	return list
}

// ranges are the user's ranges in a file or, without any, of getsubids. A file
// that does not exist has none.
func (s sources) ranges(path string, groups bool, username string, uid int) ([]span, error) {
	number := strconv.Itoa(uid)
	var list []span
	err := eachLine(path, func(at int, line string) error {
		who, rest, _ := strings.Cut(line, ":")
		if who == "" || who != username && who != number {
			return nil
		}
		r, err := parseSpan(strings.Split(rest, ":"))
		if err != nil {
			return fmt.Errorf("read %s, line %d (%q): %w; the form is name:first:size", path, at, line, err)
		}
		if !slices.Contains(list, r) {
			list = append(list, r)
		}
		return nil
	})
	if len(list) > 0 || err != nil && !errors.Is(err, fs.ErrNotExist) {
		return list, err
	}
	who := username
	if who == "" {
		who = number
	}
	return s.ask(who, groups)
}

func eachLine(path string, f func(at int, line string) error) error {
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("read ranges: %w", err)
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for at := 1; lines.Scan(); at++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		if err := f(at, line); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read %q: %w", path, err)
	}
	return nil
}

func parseSpan(fields []string) (span, error) {
	if len(fields) != 2 {
		return span{}, errors.New("it does not have three fields")
	}
	first, err := strconv.ParseUint(fields[0], 10, 32)
	if err != nil {
		return span{}, fmt.Errorf("the first id is not a number: %w", err)
	}
	size, err := strconv.ParseUint(fields[1], 10, 32)
	switch {
	case err != nil:
		return span{}, fmt.Errorf("the size is not a number: %w", err)
	case first == 0 || size == 0:
		return span{}, errors.New("a range has at least one id, and not root's")
	}
	return span{uint32(first), uint32(size)}, nil
}

// ask asks getsubids(1), where there is one. It prints "0: name first size", a
// line a range, and fails for a user that it does not know.
func (s sources) ask(who string, groups bool) ([]span, error) {
	path, err := s.find("getsubids")
	if err != nil {
		return nil, nil
	}
	args := []string{who}
	if groups {
		args = []string{"-g", who}
	}
	c, err := execute(path, args...)
	if err != nil {
		return nil, err
	}
	status, output, err := c.wait()
	if err != nil || !status.Success() {
		return nil, err
	}
	var list []span
	for line := range strings.Lines(output) {
		fields := strings.Fields(line)
		if len(fields) < 3 {
			continue
		}
		r, err := parseSpan(fields[len(fields)-2:])
		if err != nil {
			return nil, fmt.Errorf("read the output of %s, %q: %w; see nsswitch.conf(5), subid", path, line, err)
		}
		list = append(list, r)
	}
	return list, nil
}

// nothing is the error for a user without ranges, and names the remedy.
func (s sources) nothing(username string, uid int, users, groups bool) error {
	first, err := s.free()
	if err != nil {
		return err
	}
	var files, options, lines []string
	for _, f := range []struct {
		missing      bool
		path, option string
	}{{users, s.subuid, "--add-subuids"}, {groups, s.subgid, "--add-subgids"}} {
		if !f.missing {
			continue
		}
		where := f.path
		if _, err := os.Stat(f.path); err != nil {
			where += " (" + reason(err) + ")"
		}
		files = append(files, where)
		options = append(options, fmt.Sprintf("%s %d-%d", f.option, first, first+1<<16-1))
		lines = append(lines, fmt.Sprintf("echo %d:%d:65536 >> %s", uid, first, f.path))
	}
	who, remedy := fmt.Sprintf("user %q", username), fmt.Sprintf("usermod %s %s  (package passwd)", strings.Join(options, " "), username)
	if username == "" {
		who, remedy = fmt.Sprintf("user id %d", uid), strings.Join(lines, " && ")
	}
	return fmt.Errorf("no range for %s in %s: as root, add one with  %s, or use --map-root", who, strings.Join(files, " and "), remedy)
}

func reason(err error) string {
	var at *fs.PathError
	if errors.As(err, &at) {
		return at.Err.Error()
	}
	return err.Error()
}

// free is the first id, from 100000 on in steps of 65536, from which no range
// of either file holds an id.
func (s sources) free() (uint64, error) {
	first := uint64(100000)
	for _, path := range []string{s.subuid, s.subgid} {
		err := eachLine(path, func(_ int, line string) error {
			_, rest, _ := strings.Cut(line, ":")
			// Someone else's line that makes no sense is not this user's concern.
			if r, err := parseSpan(strings.Split(rest, ":")); err == nil {
				for uint64(r.first)+uint64(r.size) > first {
					first += 1 << 16
				}
			}
			return nil
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return 0, err
		}
	}
	return first, nil
}
