package record

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRoundTrip(t *testing.T) {
	want := Trace{
		Steps: []Step{{"read config.json", 1, 2}, {"end", 5_000_000_000_123, 5_000_000_402_000}},
		First: 5_000_000_000_000, Ends: []int64{5_000_000_000_700, 0, 5_000_000_000_701, 0},
	}
	text := Append(nil, want.Steps[0])
	text = AppendOps(text, want.First, want.Ends)
	text = Append(text, want.Steps[1])
	if got := string(text); got != "1\t2\tread config.json\nops\t5000000000000\t4\n"+
		"\xbc\x52\x39\x27\x8c\x04\x00\x00"+"\x00\x00\x00\x00\x00\x00\x00\x00"+"\xbd\x52\x39\x27\x8c\x04\x00\x00"+"\x00\x00\x00\x00\x00\x00\x00\x00"+"5000000000123\t5000000402000\tend\n" {
		t.Errorf("it is %q", got)
	}
	got, err := Read(text)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("read back: %v (-want +got):\n%s", err, diff)
	}
	for _, bad := range []string{"\n", "1\t2\n", "1\tx\ta\n", "x\t1\ta\n", "ops\tx\t1\n", "ops\t1\tx\n", "ops\t1\t-1\n", "ops\t1\t1\n1234567", "ops\t1\t4000000000\n12345678"} {
		if _, err := Read([]byte(bad)); err == nil {
			t.Errorf("%q is read without an error", bad)
		}
	}
}
