package main

import (
	"fmt"
	"strings"

	"github.com/sallyport/sallyport/pkg/envoy/doctor"
	docs "github.com/sallyport/sallyport/pkg/report"
)

// doctorDocument shows what was found, a section for each severity.
func doctorDocument(found *doctor.Report, needs doctor.Needs) *docs.Document {
	d := &docs.Document{
		Title: "Where the check does not hold",
		Lead:  doctorLead(found),
		Facts: []docs.Fact{{Name: "routes", Value: fmt.Sprint(found.Routes)}},
	}
	for _, severity := range doctor.Severities() {
		section := doctorSection(found, severity)
		fact := docs.Fact{Name: string(severity), Value: fmt.Sprint(len(section.Rows))}
		if len(section.Rows) > 0 {
			fact.Tone = toneOf(severity)
			d.Sections = append(d.Sections, section)
		}
		d.Facts = append(d.Facts, fact)
	}
	d.Note = "Each code is explained in deploy/doctor.md; --ignore CODE leaves its findings out."
	switch {
	case !needs.Known:
		d.Note += " Without --config nothing is compared with what Sallyport reads and sets."
	case needs.Reads == nil:
		d.Note += " The policy comes from a bundle server, so what it reads is not known here."
	}
	return d
}

func doctorLead(found *doctor.Report) string {
	at := map[doctor.Severity]map[doctor.Route]bool{doctor.Absent: {}, doctor.Unbound: {}}
	for _, f := range found.Findings {
		for _, r := range f.Routes {
			if routes := at[f.Severity]; routes != nil {
				routes[r] = true
			}
		}
	}
	if len(at[doctor.Absent])+len(at[doctor.Unbound]) == 0 {
		return "On every route that was seen, the check happens and binds."
	}
	return fmt.Sprintf("The check does not happen on %s, and does not bind on %s.",
		count(int64(len(at[doctor.Absent])), "route"), count(int64(len(at[doctor.Unbound])), "route"))
}

func toneOf(s doctor.Severity) docs.Tone {
	switch s {
	case doctor.Absent, doctor.Unbound:
		return docs.Danger
	case doctor.Weak:
		return docs.Warning
	}
	return docs.Muted
}

func doctorSection(found *doctor.Report, severity doctor.Severity) docs.Section {
	meaning := map[doctor.Severity]string{
		doctor.Absent:  "Requests pass that nobody was asked about.",
		doctor.Unbound: "Sallyport is asked, and its answer does not hold.",
		doctor.Weak:    "It holds, unless something else goes wrong.",
		doctor.Advice:  "Nothing is open; it could be better.",
	}
	section := docs.Section{
		Title: strings.ToUpper(string(severity[:1])) + string(severity[1:]), Note: meaning[severity],
		Columns: []docs.Column{{Name: "code"}, {Name: "place"}, {Name: "what is wrong"}},
	}
	for _, f := range found.Findings {
		if f.Severity == severity {
			section.Rows = append(section.Rows, docs.Row{
				Tone:   toneOf(severity),
				Cells:  []string{f.Code, fmt.Sprintf("%s:%d", f.Place.File, f.Place.Line), f.Message},
				Detail: doctorDetail(f),
			})
		}
	}
	return section
}

// doctorDetail lists the routes, the place within the file, and the mend.
func doctorDetail(f doctor.Finding) string {
	const most = 8 // of the routes; --format json has all
	var lines []string
	for i, r := range f.Routes {
		if i == most {
			lines = append(lines, fmt.Sprintf("and %d more", len(f.Routes)-most))
			break
		}
		lines = append(lines, "on    "+r.String())
	}
	if f.Place.Path != "" {
		lines = append(lines, "at    "+f.Place.Path)
	}
	for i, line := range strings.Split(f.Mend, "\n") {
		if i == 0 {
			lines = append(lines, "mend  "+line)
		} else {
			lines = append(lines, "      "+line)
		}
	}
	return strings.Join(lines, "\n")
}
