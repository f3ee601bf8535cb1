package table

import (
	"fmt"
	"strings"
	"time"
)

// message is the sentence for the change from what was said to what is now.
func (w *watch) message(f fill, span, fullIn time.Duration) string {
	switch {
	case w.now.loss > w.said.loss:
		return w.losing(f, span)
	case w.now.level > w.said.level:
		return w.filling(fullIn)
	case w.now.level == calm:
		return "the " + w.name() + " has room again: " + w.count() + w.lost()
	case w.said.loss > none && w.table == Expectations:
		return fmt.Sprintf("the %s has not been full for %d s: %s", w.name(), int(quiet.Seconds()), w.count())
	case w.said.loss > none:
		return fmt.Sprintf("the kernel has dropped nothing for %d s, and the %s is %s%s", int(quiet.Seconds()), w.name(), w.share(), w.lost())
	default:
		return "the " + w.name() + " is down to " + w.share()
	}
}

// losing says what begins to be dropped.
func (w *watch) losing(f fill, span time.Duration) string {
	switch {
	case w.table == Expectations:
		return "the " + w.name() + " is " + w.share() + "; the kernel refuses what helpers expect, and their calls and transfers fail"
	case w.now.loss == evicting:
		return fmt.Sprintf("the kernel is evicting connections to make room for new ones: %d%s, the %s is %s", f.evicted, during(span), w.name(), w.share())
	default:
		return fmt.Sprintf("the kernel is dropping new connections: %s%s, the %s is %s", packets(f.dropped), during(span), w.name(), w.share())
	}
}

func (w *watch) filling(fullIn time.Duration) string {
	text := "the " + w.name() + " is " + w.share()
	if fullIn > 0 {
		text += "; full in about " + Forecast(fullIn) + " at this rate"
	}
	return text
}

func (w *watch) name() string { return strings.TrimSuffix(w.table, "s") + " table" }

// share is "83 % full: 833 of 1000 entries".
func (w *watch) share() string {
	if w.limit > 0 && w.entries < w.limit {
		return fmt.Sprintf("%d %% full: %s", int(float64(w.entries)*100/float64(w.limit)), w.count())
	}
	return "full: " + w.count()
}

func (w *watch) count() string {
	if w.limit <= 0 {
		return fmt.Sprintf("%d entries, and no limit", w.entries)
	}
	return fmt.Sprintf("%d of %d entries", w.entries, w.limit)
}

// lost is what was dropped since the table was calm.
func (w *watch) lost() string {
	var lost []string
	if w.dropped > 0 {
		lost = append(lost, packets(w.dropped)+" of new connections dropped")
	}
	if w.evicted > 0 {
		lost = append(lost, plural(w.evicted, "connection")+" evicted")
	}
	if len(lost) == 0 {
		return ""
	}
	return "; meanwhile " + strings.Join(lost, ", ")
}

func packets(n int64) string { return plural(n, "packet") }

func plural(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// during is the time in which something was counted, to the second.
func during(span time.Duration) string {
	if span <= 0 {
		return ""
	}
	return fmt.Sprintf(" in the last %d s", max(1, int(span.Round(time.Second).Seconds())))
}

// Forecast renders a time to come, rounded to what an extrapolated trend is worth: tens of
// seconds, then minutes, from 100 minutes on hours.
func Forecast(d time.Duration) string {
	switch {
	case d < 95*time.Second:
		return fmt.Sprintf("%d s", max(10, int(d.Round(10*time.Second).Seconds())))
	case d < 100*time.Minute:
		return fmt.Sprintf("%d min", int(d.Round(time.Minute).Minutes()))
	}
	return fmt.Sprintf("%d h", int(d.Round(time.Hour).Hours()))
}
