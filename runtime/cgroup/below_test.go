package cgroup

import (
	"reflect"
	"testing"
)

func TestParseBelow(t *testing.T) {
	for _, c := range []struct {
		list []string
		want map[string]string
	}{
		{nil, map[string]string{}},
		{[]string{"a/b"}, map[string]string{"": "a/b"}},
		{[]string{"cpu:a"}, map[string]string{"cpu": "a"}},
		{[]string{"cpu,memory:a", "pids:b"}, map[string]string{"cpu": "a", "memory": "a", "pids": "b"}},
		{[]string{"a", "b"}, nil},
		{[]string{"cpu:a", "b"}, nil},
		{[]string{"cpu:a", "cpu:b"}, nil},
		{[]string{":a"}, nil},
		{[]string{"cpu,:a"}, nil},
	} {
		if got, err := ParseBelow(c.list); (err == nil) != (c.want != nil) || c.want != nil && !reflect.DeepEqual(got, c.want) {
			t.Errorf("%q is %v, %v; want %v", c.list, got, err, c.want)
		}
	}
}
