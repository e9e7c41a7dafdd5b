package spec

import (
	"reflect"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Every field of linux.resources is written as it is read.
func TestResourcesText(t *testing.T) {
	want, n := specs.LinuxResources{}, uint64(0)
	fill(reflect.ValueOf(&want).Elem(), &n, foreign)
	text := ResourcesText(&want)
	got, err := ParseResources(string(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if !reflect.DeepEqual(*got, want) {
		t.Errorf("got  %+v\nwant %+v\n%s", *got, want, text)
	}
	if text := string(ResourcesText(&specs.LinuxResources{})); text != "{}" {
		t.Errorf("nothing is %s", text)
	}
}

func TestMergeResources(t *testing.T) {
	for _, c := range []struct{ old, change, want string }{
		{`{}`, `{"memory":{"limit":5}}`, `{"memory":{"limit":5}}`},
		{`{"memory":{"limit":4,"swap":6},"cpu":{"cpus":"0"}}`, `{"memory":{"limit":5}}`, `{"memory":{"limit":5,"swap":6},"cpu":{"cpus":"0"}}`},
		{`{"devices":[{"allow":false,"access":"rwm"}]}`, `{"pids":{"limit":5}}`, `{"devices":[{"allow":false,"access":"rwm"}],"pids":{"limit":5}}`},
		{`{"unified":{"a.b":"1","c.d":"2"}}`, `{"unified":{"c.d":"3"}}`, `{"unified":{"a.b":"1","c.d":"3"}}`},
		{`{"hugepageLimits":[{"pageSize":"2MB","limit":1},{"pageSize":"1GB","limit":2}]}`, `{"hugepageLimits":[{"pageSize":"1GB","limit":3}]}`,
			`{"hugepageLimits":[{"pageSize":"2MB","limit":1},{"pageSize":"1GB","limit":3}]}`},
		{`{"blockIO":{"throttleReadBpsDevice":[{"major":8,"minor":0,"rate":1},{"major":8,"minor":16,"rate":2}]}}`,
			`{"blockIO":{"weight":7,"throttleReadBpsDevice":[{"major":8,"minor":0,"rate":9}]}}`,
			`{"blockIO":{"weight":7,"throttleReadBpsDevice":[{"major":8,"minor":16,"rate":2},{"major":8,"minor":0,"rate":9}]}}`},
	} {
		old, err := ParseResources(c.old)
		if err != nil {
			t.Fatal(err)
		}
		change, err := ParseResources(c.change)
		if err != nil {
			t.Fatal(err)
		}
		got, err := MergeResources(old, change)
		if err != nil {
			t.Fatal(err)
		}
		if text := string(ResourcesText(got)); text != c.want {
			t.Errorf("%s with %s is %s, want %s", c.old, c.change, text, c.want)
		}
		if text := string(ResourcesText(old)); text != c.old {
			t.Errorf("%s has become %s", c.old, text)
		}
	}
}
