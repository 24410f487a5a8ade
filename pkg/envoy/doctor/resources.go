package doctor

func (e *examiner) resources(all []*node) {}
