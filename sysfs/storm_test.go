package sysfs

import (
	"testing"
	"time"
)

// The first events of a second are handled at once, later ones with a pause. A quiet second ends that.
func TestStormGauge(t *testing.T) {
	var g stormGauge
	now := time.Now()
	for i := range stormEvents {
		if g.isOn(now.Add(time.Duration(i) * time.Millisecond)) {
			t.Fatalf("event %d of a second is called a storm", i+1)
		}
	}
	if !g.isOn(now.Add(stormWindow / 2)) {
		t.Errorf("event %d of a second is not called a storm", stormEvents+1)
	}
	if g.isOn(now.Add(2*stormWindow + time.Millisecond)) {
		t.Error("the storm does not end")
	}
}
