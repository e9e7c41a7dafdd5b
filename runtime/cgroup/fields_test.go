package cgroup

import (
	"reflect"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// leaves calls f with each field below v in turn, set to something, in resources
// that are otherwise as enough of them as the field needs.
func leaves(t reflect.Type, path string, set func(func(reflect.Value)) *specs.LinuxResources, f func(path string, r *specs.LinuxResources)) {
	switch t.Kind() {
	case reflect.Pointer:
		leaves(t.Elem(), path, func(fill func(reflect.Value)) *specs.LinuxResources {
			return set(func(v reflect.Value) { v.Set(reflect.New(t.Elem())); fill(v.Elem()) })
		}, f)
	case reflect.Slice:
		leaves(t.Elem(), path+"[0]", func(fill func(reflect.Value)) *specs.LinuxResources {
			return set(func(v reflect.Value) { v.Set(reflect.MakeSlice(t, 1, 1)); fill(v.Index(0)) })
		}, f)
	case reflect.Map:
		leaves(t.Elem(), path+`["memory.max"]`, func(fill func(reflect.Value)) *specs.LinuxResources {
			return set(func(v reflect.Value) {
				entry := reflect.New(t.Elem()).Elem()
				fill(entry)
				v.Set(reflect.MakeMap(t))
				v.SetMapIndex(reflect.ValueOf("memory.max"), entry)
			})
		}, f)
	case reflect.Struct:
		for i := range t.NumField() {
			field := t.Field(i)
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			at := strings.TrimPrefix(path+"."+name, ".")
			if field.Anonymous {
				at = path
			}
			leaves(field.Type, at, func(fill func(reflect.Value)) *specs.LinuxResources {
				return set(func(v reflect.Value) {
					completed(v)
					fill(v.Field(i))
				})
			}, f)
		}
	default:
		f(path, set(func(v reflect.Value) {
			switch v.Kind() {
			case reflect.String:
				v.SetString(map[string]string{"devices[0].type": "c", "devices[0].access": "r", "hugepageLimits[0].pageSize": "1GB", "network.priorities[0].name": "lo"}[path])
				if v.String() == "" {
					v.SetString("1")
				}
			case reflect.Bool:
				v.SetBool(true)
			case reflect.Int, reflect.Int64:
				v.SetInt(77777)
			default:
				v.SetUint(77)
			}
		}))
	}
}

// completed adds what other fields of a section need beside themselves.
func completed(v reflect.Value) {
	switch r := v.Addr().Interface().(type) {
	case *specs.LinuxMemory:
		r.Limit = ptr(int64(4096))
	case *specs.LinuxHugepageLimit:
		r.Pagesize = "2MB"
	case *specs.LinuxWeightDevice:
		r.Weight = ptr(uint16(50))
	case *specs.LinuxRdma:
		r.HcaHandles = ptr(uint32(5))
	case *specs.LinuxDeviceCgroup:
		r.Allow, r.Type, r.Access = false, "a", "rwm"
	}
}

// TestNoFieldIgnored: with each field, at any depth, something else is planned than
// without, or an error names the section that it is in.
func TestNoFieldIgnored(t *testing.T) {
	v1, _ := fakeHybrid(t)
	v2, _ := fakeV2(t, "/")
	for _, h := range []*Host{v1, v2} {
		seen := 0
		leaves(reflect.TypeFor[specs.LinuxResources](), "", func(fill func(reflect.Value)) *specs.LinuxResources {
			r := &specs.LinuxResources{}
			fill(reflect.ValueOf(r).Elem())
			return r
		}, func(path string, r *specs.LinuxResources) {
			seen++
			without := &specs.LinuxResources{}
			if strings.HasPrefix(path, "memory.") {
				without.Memory = &specs.LinuxMemory{Limit: ptr(int64(4096))}
			}
			got := planned(h, r)
			if strings.HasPrefix(path, "devices") {
				all, err := h.sort(r)
				if err != nil || len(all) == 0 || len(all[0].writes.filter)+len(all[0].writes.list) == 0 {
					t.Errorf("%s: %s: nothing is planned, %v", h.Mode(), path, err)
				}
				return
			}
			switch path {
			case "memory.useHierarchy": // true is how it always is
			case "memory.checkBeforeUpdate": // a new group uses nothing
			case "memory.kernel": // no kernel since 5.16 has it, and engines may send it
			default:
				if got == planned(h, without) || got == "" {
					t.Errorf("%s: %s is ignored: %q is planned", h.Mode(), path, got)
				}
			}
			section, _, _ := strings.Cut(path, ".")
			section, _, _ = strings.Cut(section, "[")
			if text, refused := strings.CutPrefix(got, "! "); refused && !strings.HasPrefix(text, section) {
				t.Errorf("%s: %s: the error is about something else: %s", h.Mode(), path, text)
			}
		})
		if seen < 40 {
			t.Errorf("there are %d fields, want the forty of 1.3 at least", seen)
		}
	}
}
