//go:build linux && cgo

package nightcore

import "testing"

func TestStatusesAreTheLibrarys(t *testing.T) {
	for number := Status(0); number < 200; number++ {
		name, own := statusName(number), statusNames[number]
		switch {
		case own != "" && own != name:
			t.Errorf("%d is %q and not %q", number, name, own)
		case own == "" && number >= ErrNotFound && number <= ErrDepthExceeded:
			t.Errorf("%s is missing", name)
		}
	}
}
