package main

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"isoperf/runtime/capability"
)

// translate makes plan.h of a plan: its calls in C, in its order. The symbols
// are those of the kernel's headers, so the compiler finds what is misspelt.
func (p *plan) translate(env []string) (string, error) {
	steps, err := p.groupSteps()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "#define CLONE_FLAGS (%s)\n", p.flags)
	b.WriteString("static char *environment[] = {")
	for _, e := range env {
		fmt.Fprintf(&b, "%s, ", quoteC(e))
	}
	b.WriteString("0};\n")
	tells, limits, child := 0, 0, strings.Builder{}
	for i, o := range p.ops {
		text, err := o.translate(i, len(p.ops))
		if err != nil {
			return "", fmt.Errorf("translate op %q into C: %w", o.name, err)
		}
		if strings.HasPrefix(o.call, "tell ") {
			tells++
		}
		if limitsGate.MatchString(o.call) {
			limits = 1
		}
		fmt.Fprintf(&child, "op%d: /* %s */\n%s", i, strings.ReplaceAll(o.name, "*/", ""), text)
	}
	fmt.Fprintf(&b, "#define TELLS %d\n#define LIMITS %d\n", tells, limits)
	translateGroup(&b, steps)
	fmt.Fprintf(&b, "\nstatic void child(void)\n{\n\tstatic long r[%d];\n\tlong v;\n\n%sop%d:\n\tfail(0, -ECHILD); /* past the end */\n}\n",
		len(p.ops)+1, child.String(), len(p.ops))
	return b.String(), nil
}

// limitsGate is where the child waits until the launcher has left its groups
// and written the last limits.
var limitsGate = regexp.MustCompile(`^wait \d+: limits complete$`)

// restGate is where the child waits until the rest of its program is planned, or its
// control group is made.
var restGate = regexp.MustCompile(`^wait \d+: (rest of the program|control group made)$`)

// translate is the C of one op, the i-th of n.
func (o op) translate(i, n int) (string, error) {
	switch {
	case o.call == joined:
		return "\t; /* by the clone */\n", nil
	case o.number == 0 && !strings.HasPrefix(o.call, "gettid") && o.name != "name":
		return "\t; /* of the stub, which this program does without */\n", nil
	case strings.HasPrefix(o.call, "gettid"):
		return "\twatch();\n", nil
	case strings.HasPrefix(o.call, "tell "):
		number, _, _ := strings.Cut(strings.TrimPrefix(o.call, "tell "), ":")
		return fmt.Sprintf("\traise_to(&tell, %s);\n", number), nil
	case strings.HasPrefix(o.call, "wait until the launcher has seen tell "):
		return fmt.Sprintf("\twait_for(&bond, %s);\n", strings.TrimPrefix(o.call, "wait until the launcher has seen tell ")), nil
	case restGate.MatchString(o.call):
		return "\t; /* done beforehand */\n", nil
	case limitsGate.MatchString(o.call):
		return "\twait_for(&opened, 1);\n", nil
	case strings.Contains(o.call, " "):
		return "", fmt.Errorf("%q is a meeting with the launcher that the yardstick does not know", o.call)
	}
	return o.translateCall(i, n)
}

// translateCall is the C of a system call, and of what follows from its result.
func (o op) translateCall(i, n int) (string, error) {
	before, args, err := o.arguments()
	if err != nil {
		return "", err
	}
	if len(args) > 6 {
		return "", fmt.Errorf("%d arguments", len(args))
	}
	for len(args) < 6 {
		args = append(args, "0")
	}
	var b strings.Builder
	b.WriteString("\t{\n")
	for _, line := range before {
		fmt.Fprintf(&b, "\t\t%s\n", line)
	}
	fmt.Fprintf(&b, "\t\tv = r[%d] = call(SYS_%s, (long)(%s));\n\t}\n", o.number, o.call, strings.Join(args, "), (long)("))
	jump := func(condition string, distance int) error {
		to := i + 1 + distance
		if to < 0 || to > n {
			return fmt.Errorf("it skips %d ops, past the end", distance)
		}
		fmt.Fprintf(&b, "\tif (%s)\n\t\tgoto op%d;\n", condition, to)
		return nil
	}
	for _, errno := range o.accept {
		if err := jump("v == -"+errno, o.skip); err != nil {
			return "", err
		}
	}
	fmt.Fprintf(&b, "\tif ((unsigned long)v > -4096UL)\n\t\tfail(%d, v);\n", o.number)
	if o.zero != 0 {
		if err := jump("v == 0", o.zero); err != nil {
			return "", err
		}
	}
	return b.String(), nil
}

// arguments are those of the call in C, and the objects that they point to.
func (o op) arguments() (before, args []string, err error) {
	for i, a := range o.args {
		object, ok, err := o.object(i, a)
		if err != nil {
			return nil, nil, err
		}
		if ok {
			before = append(before, object)
			args = append(args, fmt.Sprintf("&o%d", i))
		} else if arg, err := scalar(a); err == nil {
			args = append(args, arg)
		} else {
			return nil, nil, err
		}
	}
	switch o.call { // what the text leaves out, since it follows from the rest
	case "openat2":
		args = append(args, "sizeof o2")
	case "mount_setattr":
		args = append(args, "sizeof o3")
	case "execve":
		args[2] = "environment"
	}
	return before, args, nil
}

// object is the C of an argument that points to something: the declaration of
// o and the argument's number. ok: it is such an argument.
func (o op) object(i int, text string) (declaration string, ok bool, err error) {
	inner := strings.TrimSuffix(strings.TrimPrefix(text, "{"), "}")
	fields := func(n int) []string {
		f, serr := split(inner)
		if serr == nil && n > 0 && len(f) != n {
			serr = fmt.Errorf("%q has %d fields, not %d", text, len(f), n)
		}
		if serr != nil {
			err = serr
			return make([]string, n)
		}
		return f
	}
	switch fmt.Sprintf("%s/%d", o.call, i) {
	case "openat2/2":
		f := fields(3)
		declaration = fmt.Sprintf("static struct open_how o2 = {%s, %s, %s};", f[0], f[1], f[2])
	case "mount_setattr/3":
		f := fields(3)
		declaration = fmt.Sprintf("static struct mount_attr o3 = {%s, %s, %s, 0};", strings.TrimPrefix(f[0], "set "), strings.TrimPrefix(f[1], "clear "), f[2])
	case "ioctl/2":
		f := fields(2)
		declaration = fmt.Sprintf("static struct ifreq o2 = {.ifr_name = %s, .ifr_flags = %s};", f[0], f[1])
	case "prlimit64/2":
		f := fields(2)
		declaration = fmt.Sprintf("static uint64_t o2[2] = {%s, %s};", f[0], f[1])
	case "capset/0":
		f := fields(2)
		declaration = fmt.Sprintf("static struct __user_cap_header_struct o0 = {%s, %s};", f[0], f[1])
	case "capset/1":
		declaration, err = capabilities(inner)
	case "execve/1":
		inner = strings.TrimSuffix(strings.TrimPrefix(text, "["), "]")
		declaration = fmt.Sprintf("static char *o1[] = {%s, 0};", strings.Join(fields(0), ", "))
	default:
		return "", false, nil
	}
	return declaration, true, err
}

// scalar is the C of an argument that is a number or a string.
func scalar(text string) (string, error) {
	switch {
	case text == "NULL" || text == "[]":
		return "0", nil
	case text == "the launcher's mask":
		return "&old_mask", nil
	case strings.HasPrefix(text, "result of op "):
		return "r[" + strings.TrimPrefix(text, "result of op ") + "]", nil
	case strings.HasPrefix(text, `"`):
		s, err := strconv.Unquote(text)
		if err != nil {
			return "", fmt.Errorf("read the string %s: %w", text, err)
		}
		return quoteC(s), nil
	case strings.HasPrefix(text, "S_IF") || strings.Trim(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789abcdefx|~ -") == "":
		return text, nil
	}
	if major, minor, ok := strings.Cut(text, ":"); ok {
		return fmt.Sprintf("%s << 8 | %s", major, minor), nil
	}
	return text, nil
}

// quoteC is a C string.
func quoteC(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range []byte(s) {
		if c < ' ' || c > '~' || c == '"' || c == '\\' || c == '?' {
			fmt.Fprintf(&b, `\%03o`, c)
		} else {
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// group writes the launcher's part in C: functions that make the group, let
// this thread enter and leave it, and remove it.
type group struct {
	b    *strings.Builder
	open string // the file behind fd
}

func (g *group) closeFile() {
	if g.open != "" {
		g.b.WriteString("\tcall(SYS_close, fd, 0, 0, 0, 0, 0);\n")
		g.open = ""
	}
}

// write writes a value; neighbours that go to the same file share a descriptor.
func (g *group) write(s groupStep) {
	if g.open != s.file {
		g.closeFile()
		g.openat("fd", s.file)
		g.open = s.file
	}
	fmt.Fprintf(g.b, "\tmust(%s, call(SYS_write, fd, (long)%s, %d, 0, 0, 0));\n", quoteC(s.file), quoteC(s.value), len(s.value))
}

func (g *group) openat(into, path string) {
	fmt.Fprintf(g.b, "\tmust(%[1]s, %[2]s = call(SYS_openat, AT_FDCWD, (long)%[1]s, O_WRONLY | O_CLOEXEC, 0, 0, 0));\n", quoteC(path), into)
}

func (g *group) function(name string, body func()) {
	fmt.Fprintf(g.b, "\nstatic void %s(void)\n{\n\tlong fd;\n\n\t(void)fd;\n", name)
	body()
	g.closeFile()
	g.b.WriteString("}\n")
}

// translateGroup writes the four functions.
func translateGroup(b *strings.Builder, steps []groupStep) {
	g := &group{b: b}
	var dirs, tasks []string
	g.function("make_group", func() {
		for _, s := range steps {
			switch {
			case s.mkdir != "":
				g.closeFile()
				fmt.Fprintf(b, "\tmust(%[1]s, call(SYS_mkdirat, AT_FDCWD, (long)%[1]s, 0755, 0, 0, 0));\n", quoteC(s.mkdir))
				dirs = append(dirs, s.mkdir)
			case s.enter != "":
				tasks = append(tasks, s.enter)
			case !s.late:
				g.write(s)
			}
		}
	})
	fmt.Fprintf(b, "\nstatic long home[%d];\n", len(tasks)+1)
	g.function("enter_group", func() {
		for i, t := range tasks {
			g.openat(fmt.Sprintf("home[%d]", i), filepath.Join(filepath.Dir(filepath.Dir(t)), "tasks"))
			g.write(groupStep{file: t, value: "0"})
			g.closeFile()
		}
	})
	g.function("leave_group", func() {
		for i := len(tasks) - 1; i >= 0; i-- {
			fmt.Fprintf(b, "\tmust(\"leave\", call(SYS_write, home[%d], (long)\"0\", 1, 0, 0, 0));\n\tcall(SYS_close, home[%d], 0, 0, 0, 0, 0);\n", i, i)
		}
		for _, s := range steps {
			if s.late {
				g.write(s)
			}
		}
	})
	g.function("remove_group", func() {
		for i := len(dirs) - 1; i >= 0; i-- {
			fmt.Fprintf(b, "\tmust(%[1]s, call(SYS_unlinkat, AT_FDCWD, (long)%[1]s, AT_REMOVEDIR, 0, 0, 0));\n", quoteC(dirs[i]))
		}
	})
}

// capabilities declares the sets of capset.
func capabilities(text string) (string, error) {
	var sets [3]uint64
	fields := strings.Split(text, ", ")
	for i, name := range []string{"effective", "permitted", "inheritable"} {
		if i >= len(fields) {
			return "", fmt.Errorf("the capability sets %q lack %s", text, name)
		}
		list, ok := strings.CutPrefix(fields[i], name+": ")
		if !ok {
			return "", fmt.Errorf("the capability sets %q do not begin field %d with %s", text, i+1, name)
		}
		set, err := capabilitySet(list)
		if err != nil {
			return "", err
		}
		sets[i] = uint64(set)
	}
	word := func(shift int) string {
		return fmt.Sprintf("{%#x, %#x, %#x}", uint32(sets[0]>>shift), uint32(sets[1]>>shift), uint32(sets[2]>>shift))
	}
	return fmt.Sprintf("static struct __user_cap_data_struct o1[2] = {%s, %s};", word(0), word(32)), nil
}

// capabilitySet reads "none", "all", "all but a,b" and "a,b".
func capabilitySet(text string) (capability.Set, error) {
	if text == "none" {
		return 0, nil
	}
	less, but := strings.CutPrefix(text, "all but ")
	if but || text == "all" {
		if !but {
			return capability.All(), nil
		}
		text = less
	}
	set, err := capability.Parse(strings.Split(text, ","))
	if but {
		set = capability.All() &^ set
	}
	return set, err
}
