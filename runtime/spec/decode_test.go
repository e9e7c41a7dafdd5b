package spec

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"isoperf/runtime/jsontext"
)

func jsonName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return name
}

// foreign are the sections of other systems, of which only the presence counts.
func foreign(t reflect.Type) bool {
	switch t {
	case reflect.TypeFor[specs.Solaris](), reflect.TypeFor[specs.Windows](), reflect.TypeFor[specs.VM](), reflect.TypeFor[specs.ZOS](), reflect.TypeFor[specs.FreeBSD]():
		return true
	}
	return false
}

// same compares with encoding/json.
func same(t *testing.T, text string) {
	t.Helper()
	want := &specs.Spec{}
	if err := json.Unmarshal([]byte(text), want); err != nil {
		t.Fatal(err)
	}
	got, err := decode(text)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("encoding/json (-) and decode (+) differ:\n%s", diff)
	}
}

// A field that a new version of the specification's types has, and decode does
// not, fails here.
func TestDecodeEveryField(t *testing.T) {
	want := &specs.Spec{}
	n := uint64(0)
	fill(reflect.ValueOf(want).Elem(), &n, foreign)
	for _, indent := range []string{"", "\t"} {
		text, err := json.MarshalIndent(want, "", indent)
		if err != nil {
			t.Fatal(err)
		}
		got, err := decode(string(text))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("what was written (-) and what was read (+) differ:\n%s", diff)
		}
		if indent != "" {
			// Names that the types have twice, such as "major", could hide
			// each other above; encoding/json would see it here.
			same(t, string(text))
		}
	}
}

// What other runtimes wrote.
func TestDecodeWritten(t *testing.T) {
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) < 3 {
		t.Fatalf("testdata has %v, %v", files, err)
	}
	for _, f := range files {
		t.Run(filepath.Base(f), func(t *testing.T) {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			same(t, string(text))
		})
	}
}

// What other runtimes write here.
func TestDecodeWrittenNow(t *testing.T) {
	for _, command := range [][]string{{"runc", "spec"}, {"runc", "spec", "--rootless"}, {"crun", "spec"}, {"crun", "spec", "--rootless"}} {
		t.Run(strings.Join(command, " "), func(t *testing.T) {
			_, err := exec.LookPath(command[0])
			require(t, err == nil, "there is no "+command[0])
			cmd := exec.Command(command[0], command[1:]...)
			cmd.Dir = t.TempDir()
			cmd.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+cmd.Dir)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v: %v\n%s", command, err, out)
			}
			text, err := os.ReadFile(filepath.Join(cmd.Dir, "config.json"))
			if err != nil {
				t.Fatal(err)
			}
			same(t, string(text))
		})
	}
}

func TestDecodeLikeEncodingJSON(t *testing.T) {
	for _, text := range []string{
		`{}`, "\t\n\r {\n}\n ", `null`,
		// What is not known is skipped, whatever it is.
		`{"x":{"a":[1,-2.5e+3,{"b":null}],"b":"\"}","c":[]},"hostname":"h","y":[true,false,null,"",0]}`,
		`{"linux":{"resources":{"x":{},"pids":{"limit":1,"y":[[]]}}}}`,
		// null leaves what is there, or takes a pointer, list or map away.
		`{"process":null,"root":null,"mounts":null,"annotations":null,"hostname":null,"linux":null}`,
		`{"process":{"user":null,"args":null,"terminal":null,"oomScoreAdj":null,"args":[null,"a"]}}`,
		`{"linux":{"sysctl":{"a":null},"resources":{"rdma":{"b":null},"memory":{"limit":null,"useHierarchy":null}},"namespaces":[null]}}`,
		`{"root":{"path":"/a"},"root":null,"hostname":"a","hostname":null,"mounts":[],"mounts":null}`,
		// Empty is not missing.
		`{"mounts":[],"annotations":{},"process":{"args":[],"env":[]},"linux":{"sysctl":{},"resources":{}}}`,
		// The last wins, and objects are filled further.
		`{"hostname":"a","hostname":"b","root":{"path":"/a","readonly":true},"root":{"path":"/b"}}`,
		`{"annotations":{"a":"1","b":"2"},"annotations":{"b":"3","c":"4"},"process":{"args":["a","b"],"args":["c"]}}`,
		`{"linux":{"timeOffsets":{"a":{"secs":1}},"timeOffsets":{"a":{"nanosecs":2}}}}`,
		// Strings.
		`{"hostname":"\"\\\/\b\f\n\r\tAé\ud83d\udd12\uFFFD\u0000"}`, "{\"hostname\":\"\u007f\ufffd\u2028é\U0001F512\"}",
		`{"hostname":"aé\nb\u00e9\\"}`, `{"host\u006eame":"x"}`, `{"annotations":{"\u00e9\n":"\\"}}`,
		// Numbers, to the ends of their types.
		`{"process":{"user":{"uid":4294967295,"gid":0,"umask":18},"oomScoreAdj":-1000,"rlimits":[{"soft":18446744073709551615}]}}`,
		`{"linux":{"resources":{"memory":{"limit":9223372036854775807,"swap":-9223372036854775808},"blockIO":{"weight":65535}}}}`,
		`{"process":{"oomScoreAdj":-0,"scheduler":{"nice":-2147483648,"priority":2147483647}}}`,
	} {
		t.Run("", func(t *testing.T) { same(t, text) })
	}
}

func TestDecodeSharesNoSlice(t *testing.T) {
	// encoding/json keeps fields of an element that an earlier array had in
	// its place. Here an array is read anew.
	s, err := decode(`{"mounts":[{"destination":"/a","type":"tmpfs"}],"mounts":[{"destination":"/b"}]}`)
	if err != nil || len(s.Mounts) != 1 || s.Mounts[0].Destination != "/b" || s.Mounts[0].Type != "" {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestDecodeForeign(t *testing.T) {
	s, err := decode(`{"solaris":{"milestone":"x"},"windows":{"layerFolders":[]},"vm":{},"zos":{"x":[1]},"freebsd":{"jail":{}}}`)
	if err != nil {
		t.Fatal(err)
	}
	if s.Solaris == nil || s.Windows == nil || s.VM == nil || s.ZOS == nil || s.FreeBSD == nil {
		t.Errorf("a section is missing: %+v", s)
	}
	if s, err = decode(`{"solaris":null,"windows":null}`); err != nil || s.Solaris != nil || s.Windows != nil {
		t.Errorf("%+v, %v; want none", s, err)
	}
}

// refuses says that none of the texts is read, and why.
func refuses(t *testing.T, cases [][2]string) {
	t.Helper()
	for _, c := range cases {
		s, err := decode(c[0])
		if err == nil {
			t.Errorf("%.60s: was read, as %+v; want an error", c[0], s)
		} else if err.Error() != c[1] {
			t.Errorf("%.60s:\n  got  %v\n  want %s", c[0], err, c[1])
		}
	}
}

func TestDecodeRefusesValues(t *testing.T) {
	refuses(t, [][2]string{
		// The wrong type names the field.
		{`{"linux":{"resources":{"memory":{"limit":"1"}}}}`, `linux.resources.memory.limit: a string, where a number belongs`},
		{`{"hostname":5}`, `hostname: a number, where a string belongs`},
		{`{"process":{"args":"sh"}}`, `process.args: a string, where an array belongs`},
		{`{"process":{"args":["sh",{}]}}`, `process.args[1]: an object, where a string belongs`},
		{`{"process":[]}`, `process: an array, where an object belongs`},
		{`{"root":{"readonly":"true"}}`, `root.readonly: a string, where true or false belongs`},
		{`{"root":{"path":true}}`, `root.path: a boolean, where a string belongs`},
		{`{"linux":{"seccomp":{"syscalls":[{},{"args":[{"index":[]}]}]}}}`, `linux.seccomp.syscalls[1].args[0].index: an array, where a number belongs`},
		{`{"linux":{"sysctl":{"net.ipv4.ip_forward":1}}}`, `linux.sysctl["net.ipv4.ip_forward"]: a number, where a string belongs`},
		{`{"linux":{"timeOffsets":{"boottime":{"secs":false}}}}`, `linux.timeOffsets["boottime"].secs: a boolean, where a number belongs`},
		{`[]`, `an array, where an object belongs`},
		{`7`, `a number, where an object belongs`},
		// Numbers.
		{`{"process":{"user":{"uid":4294967296}}}`, `process.user.uid: 4294967296 is out of range: it goes from 0 to 4294967295`},
		{`{"process":{"user":{"uid":-1}}}`, `process.user.uid: -1 is out of range: it goes from 0 to 4294967295`},
		{`{"linux":{"resources":{"blockIO":{"weight":65536}}}}`, `linux.resources.blockIO.weight: 65536 is out of range: it goes from 0 to 65535`},
		{`{"process":{"scheduler":{"nice":2147483648}}}`, `process.scheduler.nice: 2147483648 is out of range: it goes from -2147483648 to 2147483647`},
		{`{"linux":{"resources":{"pids":{"limit":9223372036854775808}}}}`, `linux.resources.pids.limit: 9223372036854775808 is out of range: it goes from -9223372036854775808 to 9223372036854775807`},
		{`{"process":{"rlimits":[{"hard":18446744073709551616}]}}`, `process.rlimits[0].hard: 18446744073709551616 is out of range: it goes from 0 to 18446744073709551615`},
		{`{"linux":{"resources":{"pids":{"limit":1.0}}}}`, `linux.resources.pids.limit: 1.0, where a whole number belongs, without fraction and exponent`},
		{`{"linux":{"resources":{"pids":{"limit":1e3}}}}`, `linux.resources.pids.limit: 1e3, where a whole number belongs, without fraction and exponent`},
		{`{"a":01}`, `line 1, column 7: '1', where a comma or } belongs`},
		{`{"a":-}`, `line 1, column 7: '}', where a digit belongs`},
		{`{"a":1.}`, `line 1, column 8: '}', where a digit belongs`},
		{`{"a":1e+`, `line 1, column 9: it ends where a digit belongs`},
		{`{"a":+1}`, `line 1, column 6: '+', where a value belongs`},
		{`{"process":{"oomScoreAdj":.5}}`, `line 1, column 27: '.', where a number belongs`},
	})
}

func TestDecodeRefusesSyntax(t *testing.T) {
	deep := strings.Repeat("[", jsontext.MaxDepth+1)
	refuses(t, [][2]string{
		// Structure.
		{``, `line 1, column 1: it ends where an object belongs`},
		{"{}\n  x", `line 2, column 3: 'x', where the end of the text belongs`},
		{`{}{}`, `line 1, column 3: '{', where the end of the text belongs`},
		{"{}\x00", `line 1, column 3: '\x00', where the end of the text belongs`},
		{"\ufeff{}", `line 1, column 1: '\ufeff', where an object belongs`},
		{"{\n\t\"é\": 1,\n\t\"é\": x\n}", `line 3, column 7: 'x', where a value belongs`},
		{`{"a":1,}`, `line 1, column 8: '}', where another element belongs`},
		{`{"a":[1,]}`, `line 1, column 9: ']', where another element belongs`},
		{`{"a":[,1]}`, `line 1, column 7: ',', where a value belongs`},
		{`{"a":[1 2]}`, `line 1, column 9: '2', where a comma or ] belongs`},
		{`{"a" 1}`, `line 1, column 6: '1', where a colon belongs`},
		{`{a:1}`, `line 1, column 2: 'a', where a name in quotes belongs`},
		{`{,}`, `line 1, column 2: ',', where a name in quotes belongs`},
		{`{"a":1`, `line 1, column 7: it ends where a comma or } belongs`},
		{`{"a":`, `line 1, column 6: it ends where a value belongs`},
		{`{"a":[`, `line 1, column 7: it ends where a value belongs`},
		{`{"hostname":nul}`, `line 1, column 13: this is not "null"`},
		{`{"a":tru}`, `line 1, column 6: this is not "true"`},
		{`{"root":{"readonly":falsy}}`, `line 1, column 21: this is not "false"`},
		{`// text`, `line 1, column 1: '/', where an object belongs`},
		{`{"a":` + deep, `line 1, column 105: more than 100 objects and arrays in each other`},
		// Strings.
		{`{"hostname":"a`, `line 1, column 15: it ends where the end of a string belongs`},
		{`{"hostname":"a\`, `line 1, column 15: \ with neither one of "\/bfnrt nor u and four hexadecimal digits`},
		{`{"hostname":"\x41"}`, `line 1, column 14: \ with neither one of "\/bfnrt nor u and four hexadecimal digits`},
		{`{"hostname":"\u00g0"}`, `line 1, column 14: \ with neither one of "\/bfnrt nor u and four hexadecimal digits`},
		{`{"hostname":"\u+123"}`, `line 1, column 14: \ with neither one of "\/bfnrt nor u and four hexadecimal digits`},
		{`{"hostname":"\u12`, `line 1, column 14: \ with neither one of "\/bfnrt nor u and four hexadecimal digits`},
		{`{"hostname":"\ud83d"}`, `line 1, column 14: half of a surrogate pair`},
		{`{"hostname":"\udd12\ud83d"}`, `line 1, column 14: half of a surrogate pair`},
		{`{"hostname":"\ud83d\u0041"}`, `line 1, column 14: half of a surrogate pair`},
		{"{\"hostname\":\"a\nb\"}", `line 1, column 15: a control character in a string; write it as \u000a`},
		{"{\"hostname\":\"\\t\x1f\"}", `line 1, column 16: a control character in a string; write it as \u001f`},
		{"{\"hostname\":\"ab\xff\"}", `line 1, column 16: a byte that is not UTF-8`},
		{"{\"hostname\":\"\\tab\xc3\"}", `line 1, column 18: a byte that is not UTF-8`},
		{"{\"hostname\":\"\xed\xa0\xbd\\n\"}", `line 1, column 14: a byte that is not UTF-8`},
		{"{\"x\":\"\xff\"}", `line 1, column 7: a byte that is not UTF-8`},
	})
}

// Nesting is bounded in the same way wherever it is.
func TestDecodeDepth(t *testing.T) {
	nest := func(n int) string {
		return `{"a":` + strings.Repeat("[", n-1) + strings.Repeat("]", n-1) + `}`
	}
	if _, err := decode(nest(jsontext.MaxDepth)); err != nil {
		t.Error(err)
	}
	if _, err := decode(nest(jsontext.MaxDepth + 1)); err == nil {
		t.Errorf("%d levels were read", jsontext.MaxDepth+1)
	}
	// What is closed does not count.
	if _, err := decode(`{"a":[` + strings.Repeat(`{},[],`, jsontext.MaxDepth) + `0]}`); err != nil {
		t.Error(err)
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	_, err := Load(dir)
	if want := `read bundle "` + dir + `": it has no config.json (` + "`runc spec`" + ` writes one)`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	name := filepath.Join(dir, "config.json")
	if err := os.WriteFile(name, []byte(`{"root":{"path":"rootfs"},"process":{"terminal":1}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = Load(dir)
	if want := `parse "` + name + `": process.terminal: a number, where true or false belongs`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if err := os.WriteFile(name, []byte(`{"root":{"path":"rootfs"}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(dir)
	if err != nil || c.Bundle != dir || c.RootPath() != filepath.Join(dir, "rootfs") {
		t.Errorf("got %+v, %v", c, err)
	}
	long := strings.Repeat("x", 100000)
	if err := os.WriteFile(name, []byte(`{"hostname":"`+long+`"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if c, err = Load(dir); err != nil || c.Hostname != long {
		t.Errorf("a long file: %v", err)
	}
	t.Chdir(dir)
	if c, err = Load("."); err != nil || c.Bundle != dir {
		t.Errorf("got %+v, %v; want the bundle's absolute path", c, err)
	}
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(name, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err = Load(dir); err == nil || err.Error() != `read bundle "`+dir+`": read `+name+`: is a directory` {
		t.Errorf("a directory: %v", err)
	}
}
