package record

import (
	"slices"
	"testing"
)

func TestRoundTrip(t *testing.T) {
	want := []Event{
		{Lane: "launcher", Name: "read config.json", Start: 1, End: 2},
		{Lane: "container", Name: "mount proc", Start: 5_000_000_000_123, End: 5_000_000_402_000, Result: -17, Own: true},
	}
	var text []byte
	for _, e := range want {
		text = Append(text, e)
	}
	got, err := Read(text)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("read %v, %v; want %v", got, err, want)
	}
	for _, bad := range []string{"\n", "1\t2\t3\top\ta\n", "1\tx\t3\top\ta\tb\n", "1\t2\t3\top\ta\tb\tc\n"} {
		if _, err := Read([]byte(bad)); err == nil {
			t.Errorf("%q is read without an error", bad)
		}
	}
}
