package table

import (
	"fmt"
	"strings"
	"time"
)

// message returns the sentence for the change from the reported to the current condition.
func (m *tableMonitor) message(f fill, span, fullIn time.Duration) string {
	switch {
	case m.current.loss > m.reported.loss:
		return m.lossMessage(f, span)
	case m.current.level > m.reported.level:
		return m.fillMessage(fullIn)
	case m.current.level == normal:
		return "the " + m.name() + " is back to normal: " + m.count() + m.lossSince()
	case m.reported.loss > noLoss && m.table == Expectations:
		return fmt.Sprintf("the %s has not been full for %d s: %s", m.name(), int(quiet.Seconds()), m.count())
	case m.reported.loss > noLoss:
		return fmt.Sprintf("the kernel has dropped nothing for %d s, and the %s is %s%s",
			int(quiet.Seconds()), m.name(), m.share(), m.lossSince())
	default:
		return "the " + m.name() + " is down to " + m.share()
	}
}

// lossMessage describes a loss that starts.
func (m *tableMonitor) lossMessage(f fill, span time.Duration) string {
	switch {
	case m.table == Expectations:
		return "the " + m.name() + " is " + m.share() +
			"; the kernel refuses new expectations of helpers, and their calls and transfers fail"
	case m.current.loss == evicting:
		return fmt.Sprintf("the kernel is evicting connections for new ones: %d%s, the %s is %s",
			f.evicted, during(span), m.name(), m.share())
	default:
		return fmt.Sprintf("the kernel is dropping new connections: %s%s, the %s is %s",
			packets(f.dropped), during(span), m.name(), m.share())
	}
}

func (m *tableMonitor) fillMessage(fullIn time.Duration) string {
	text := "the " + m.name() + " is " + m.share()
	if fullIn > 0 {
		text += "; full in about " + Forecast(fullIn) + " at this rate"
	}
	return text
}

func (m *tableMonitor) name() string { return strings.TrimSuffix(m.table, "s") + " table" }

// share returns "83 % full: 833 of 1000 entries".
func (m *tableMonitor) share() string {
	if m.limit > 0 && m.entries < m.limit {
		return fmt.Sprintf("%d %% full: %s", int(float64(m.entries)*100/float64(m.limit)), m.count())
	}
	return "full: " + m.count()
}

func (m *tableMonitor) count() string {
	if m.limit <= 0 {
		return fmt.Sprintf("%d entries, no limit", m.entries)
	}
	return fmt.Sprintf("%d of %d entries", m.entries, m.limit)
}

// lossSince returns what was lost since the table was last normal.
func (m *tableMonitor) lossSince() string {
	var lost []string
	if m.dropped > 0 {
		lost = append(lost, packets(m.dropped)+" of new connections dropped")
	}
	if m.evicted > 0 {
		lost = append(lost, plural(m.evicted, "connection")+" evicted")
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

// during returns the time over which something was counted, in whole seconds.
func during(span time.Duration) string {
	if span <= 0 {
		return ""
	}
	return fmt.Sprintf(" in the last %d s", max(1, int(span.Round(time.Second).Seconds())))
}

// Forecast formats a forecast, rounded to the precision of an extrapolated trend: tens of seconds, then
// minutes, from 100 minutes on hours.
func Forecast(d time.Duration) string {
	switch {
	case d < 95*time.Second:
		return fmt.Sprintf("%d s", max(10, int(d.Round(10*time.Second).Seconds())))
	case d < 100*time.Minute:
		return fmt.Sprintf("%d min", int(d.Round(time.Minute).Minutes()))
	}
	return fmt.Sprintf("%d h", int(d.Round(time.Hour).Hours()))
}
