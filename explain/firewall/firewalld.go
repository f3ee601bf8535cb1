package firewall

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/kmod"
)

const (
	firewalldDir  = "/etc/firewalld/"
	firewalldDist = "/usr/lib/firewalld/"
)

// readFirewalld reads the helpers of the services that the administrator's zones and policies allow
// (firewalld.zone(5), firewalld.service(5)), and the rules in direct.xml (firewalld.direct(5)).
func readFirewalld(t tree.Tree, r *Rules) {
	for _, dir := range []string{"zones/", "policies/"} {
		names, err := t.List(firewalldDir + dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			r.addTrouble(tree.Place{File: firewalldDir + dir}, err)
		}
		for _, name := range names {
			if strings.HasSuffix(name, ".xml") {
				readZone(t, r, firewalldDir+dir+name)
			}
		}
	}
	text, ok := r.readFile(t, firewalldDir+"direct.xml", maxConf)
	if !ok {
		return
	}
	elements, err := parseXML(text)
	if err != nil {
		r.addTrouble(tree.Place{File: firewalldDir + "direct.xml"}, err)
	}
	for _, e := range elements {
		if e.name == "rule" || e.name == "passthrough" {
			r.addIptablesRule(tree.Place{File: firewalldDir + "direct.xml", Line: e.line}, e.text)
		}
	}
}

// readZone adds the helpers of the services that a zone or a policy allows, in rich rules too.
func readZone(t tree.Tree, r *Rules, path string) {
	text, ok := r.readFile(t, path, maxConf)
	if !ok {
		return
	}
	elements, err := parseXML(text)
	if err != nil {
		r.addTrouble(tree.Place{File: path}, err)
	}
	for _, e := range elements {
		if e.name != "service" {
			continue
		}
		for _, helper := range serviceHelpers(t, r, e.attributes["name"], map[string]bool{}) {
			r.Helpers = append(r.Helpers, HelperRule{
				Place: tree.Place{File: path, Line: e.line}, Name: helper,
				Rule: fmt.Sprintf("<service name=%q/>", e.attributes["name"]),
			})
		}
	}
}

// serviceHelpers returns the helpers of a service and of those that it includes. Old services name
// the module in place of the helper.
func serviceHelpers(t tree.Tree, r *Rules, service string, seen map[string]bool) []string {
	if service == "" || strings.Contains(service, "/") || seen[service] {
		return nil
	}
	seen[service] = true
	var helpers []string
	for _, e := range readEither(t, r, "services/"+service+".xml") {
		switch e.name {
		case "helper":
			helpers = append(helpers, helperName(t, r, e.attributes["name"]))
		case "module":
			if name := moduleHelper(e.attributes["name"]); name != "" {
				helpers = append(helpers, name)
			}
		case "include":
			helpers = append(helpers, serviceHelpers(t, r, e.attributes["service"], seen)...)
		}
	}
	return helpers
}

// helperName returns the kernel's name of a helper. The helpers that firewalld ships have that
// name; those of the administrator may have any, and name their module.
func helperName(t tree.Tree, r *Rules, helper string) string {
	path := "helpers/" + helper + ".xml"
	if strings.Contains(helper, "/") || !t.Exists(firewalldDir+path) || t.Exists(firewalldDist+path) {
		return helper
	}
	for _, e := range readEither(t, r, path) {
		if name := moduleHelper(e.attributes["module"]); e.name == "helper" && name != "" {
			return name
		}
	}
	return helper
}

// moduleHelper returns the helper in a module nf_conntrack_NAME, or "".
func moduleHelper(module string) string {
	name, isHelper := strings.CutPrefix(kmod.NormalizeName(module), "nf_conntrack_")
	if !isHelper {
		return ""
	}
	return strings.ReplaceAll(name, "_", "-")
}

// readEither returns the elements of the administrator's file of that name, else of the
// distribution's, else none.
func readEither(t tree.Tree, r *Rules, name string) []element {
	path := firewalldDir + name
	text, err := t.Read(path, maxConf)
	if errors.Is(err, fs.ErrNotExist) {
		path = firewalldDist + name
		text, err = t.Read(path, maxConf)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		var elements []element
		if elements, err = parseXML(text); err == nil {
			return elements
		}
	}
	r.addTrouble(tree.Place{File: path}, err)
	return nil
}

// element is an XML element at any depth, with its own text.
type element struct {
	name       string
	attributes map[string]string
	text       string
	line       int
}

// parseXML returns the elements of a file in the order in which they begin, up to the first error.
func parseXML(text []byte) ([]element, error) {
	var elements []element
	var open []int
	decoder := xml.NewDecoder(bytes.NewReader(text))
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return elements, nil
		}
		if err != nil {
			return elements, fmt.Errorf("cannot read the XML: %w", err)
		}
		switch token := token.(type) {
		case xml.StartElement:
			line, _ := decoder.InputPos()
			e := element{name: token.Name.Local, attributes: map[string]string{}, line: line}
			for _, attribute := range token.Attr {
				e.attributes[attribute.Name.Local] = attribute.Value
			}
			open = append(open, len(elements))
			elements = append(elements, e)
		case xml.CharData:
			if len(open) > 0 {
				elements[open[len(open)-1]].text += string(token)
			}
		case xml.EndElement:
			open = open[:max(0, len(open)-1)]
		}
	}
}
