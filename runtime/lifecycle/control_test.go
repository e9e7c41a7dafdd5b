package lifecycle

import (
	"testing"

	"isoperf/runtime/spec"
)

// What an update gives as 0 it does not mention, and devices stay.
func TestMentioned(t *testing.T) {
	for _, c := range []struct{ given, want string }{
		{`{}`, `{}`},
		{`{"memory":{"limit":0,"swap":-1},"cpu":{"shares":0,"quota":-1,"cpus":"0"},"pids":{"limit":0},"devices":[{"allow":true}]}`,
			`{"memory":{"swap":-1},"cpu":{"quota":-1,"cpus":"0"}}`},
		{`{"pids":{"limit":-1},"blockIO":{"weight":0,"leafWeight":5},"unified":{"memory.high":"max"}}`,
			`{"pids":{"limit":-1},"blockIO":{"leafWeight":5},"unified":{"memory.high":"max"}}`},
	} {
		given, err := spec.ParseResources(c.given)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(spec.ResourcesText(mentioned(given))); got != c.want {
			t.Errorf("of %s is mentioned %s, want %s", c.given, got, c.want)
		}
	}
}
