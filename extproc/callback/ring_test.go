package callback

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWhatIsPutBackIntoARingIsItsOldestAgain(t *testing.T) {
	for name, before := range map[string]int{"an empty ring": 0, "a ring that has turned": 10, "a ring that is full": 16} {
		t.Run(name, func(t *testing.T) {
			var r ring[int]
			for range before { // moves the first place
				r.push(entry[int]{})
				r.pop()
			}
			for n := 1; n <= 16; n++ {
				r.push(entry[int]{item: n})
			}
			first, second := r.pop(), r.pop()
			r.push(entry[int]{item: 17})
			r.push(entry[int]{item: 18}) // there is no place left
			r.pushFront(second)
			r.pushFront(first)
			var got, want []int
			for n := 1; r.len() > 0; n++ {
				got, want = append(got, r.pop().item), append(want, n)
			}
			if diff := cmp.Diff(want, got); diff != "" || len(got) != 18 {
				t.Errorf("%d entries (-want +got)\n%s", len(got), diff)
			}
		})
	}
}
