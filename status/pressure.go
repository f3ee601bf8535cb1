package status

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/ctkeeper/ctkeeper/table"
)

// PressureMessage returns the sentence of the journal for a change of a table.
func PressureMessage(p table.Pressure) string {
	name, now := tableName(p.Table), tableText(p.Table, p.Entries, p.Limit)
	isWorse := p.Now.Loss != p.Was.Loss && p.Now.Loss != table.NoLoss
	switch {
	case p.Gone:
		return "the " + name + " is gone: nf_conntrack was unloaded"
	case p.Unreadable:
		return "the " + name + " cannot be read any more"
	case isWorse:
		return lossText(p.Now.Loss, p.Lost, p.Span) + "; " + now
	case p.Now.Level == table.Normal:
		return "the " + name + " is back to normal: " + countText(p.Entries, p.Limit) + lostText(p.LostInAll)
	case p.Was.Loss != table.NoLoss && p.Now.Loss == table.NoLoss:
		return fmt.Sprintf("%s; nothing was lost for %d s%s", now, int(table.Quiet.Seconds()), lostText(p.LostInAll))
	}
	return now + forecastText(p.Now)
}

// tableName returns the name of a table in a sentence: "connection table".
func tableName(name string) string { return strings.TrimSuffix(name, "s") + " table" }

// tableText renders how full a table is: "the connection table is 83 % full: 833 of 1000 entries".
func tableText(name string, entries, limit int64) string {
	text := "the " + tableName(name) + " "
	switch share, ok := Share(entries, limit); {
	case !ok:
		return text + "has " + countText(entries, limit)
	case entries >= limit:
		return text + "is full: " + countText(entries, limit)
	default:
		return text + "is " + share + " full: " + countText(entries, limit)
	}
}

// Share returns how full a table is: "83 %", rounded down, so that only a full one has "100 %"; "<1 %" for less
// than one. ok is false for a table without a limit.
func Share(entries, limit int64) (share string, ok bool) {
	if limit <= 0 {
		return "", false
	}
	switch percent := math.Floor(float64(entries) * 100 / float64(limit)); {
	case percent >= 1 || entries <= 0:
		return strconv.FormatFloat(percent, 'f', 0, 64) + " %", true
	default:
		return "<1 %", true
	}
}

func countText(entries, limit int64) string {
	if limit <= 0 {
		return fmt.Sprintf("%d entries, no limit", entries)
	}
	return fmt.Sprintf("%d of %d entries", entries, limit)
}

// lossText renders what the kernel does because a table is full, and how often in the last span.
func lossText(loss table.Loss, lost table.Losses, span time.Duration) string {
	text, n, noun := "the kernel refuses new expectations of helpers, and their calls and transfers fail", int64(0), ""
	switch loss {
	case table.Evicting:
		text, n, noun = "the kernel evicts connections without a reply for new ones", lost.Evicted, "connection"
	case table.Dropping:
		text, n, noun = "the kernel drops new connections", lost.Dropped, "packet"
	}
	if n > 0 {
		text += ", " + plural(n, noun) + during(span)
	}
	return text
}

// lostText renders what was lost while the table was not normal; "" for nothing.
func lostText(l table.Losses) string {
	var lost []string
	if l.Dropped > 0 {
		lost = append(lost, plural(l.Dropped, "packet")+" of new connections dropped")
	}
	if l.Evicted > 0 {
		lost = append(lost, plural(l.Evicted, "connection")+" evicted")
	}
	if len(lost) == 0 {
		return ""
	}
	return "; meanwhile " + strings.Join(lost, ", ")
}

// forecastText renders when a table will be full: "; full in about 6 min", "" without a forecast.
func forecastText(c table.Condition) string {
	if c.FullInSeconds <= 0 {
		return ""
	}
	return "; full in about " + roundTime(time.Duration(c.FullInSeconds*float64(time.Second)))
}

// roundTime rounds to the precision of an extrapolated trend: tens of seconds, then minutes, from 100 minutes on
// hours.
func roundTime(d time.Duration) string {
	switch {
	case d < 95*time.Second:
		return fmt.Sprintf("%d s", max(10, int(d.Round(10*time.Second).Seconds())))
	case d < 100*time.Minute:
		return fmt.Sprintf("%d min", int(d.Round(time.Minute).Minutes()))
	}
	return fmt.Sprintf("%d h", int(d.Round(time.Hour).Hours()))
}

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
