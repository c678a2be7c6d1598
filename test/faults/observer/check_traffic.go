package observer

// weights is S1: a weight is a number between nothing and all.
func (c *checker) weights(_, is state) {
	weight, err := is.weight()
	switch {
	case err != nil:
		c.say("%v", err)
	case weight < 0 || weight > is.canary().MaxTrafficWeight():
		c.say("the weight is %d", weight)
	}
}

// inService reports whether there is a revision to serve and somebody wants it served.
func (s state) inService() bool { return s.replicas() > 0 && s.rollout.Status.StableRS != "" }

// served is S2: whoever gets traffic has a pod to answer.
func (c *checker) served(was, is state) {
	if !is.inService() {
		return
	}
	for _, hash := range is.hashes() {
		weight := is.serves(hash)
		switch {
		case weight == 0:
		case is.available(hash) == 0 && (was.available(hash) > 0 || was.serves(hash) == 0):
			c.say("%s gets %d and has no available pod", hash, weight)
		case size(is.owned()[hash]) == 0 && size(was.owned()[hash]) > 0:
			c.say("%s shrank to nothing and gets %d", hash, weight)
		}
	}
}

// hashes are the revisions that the two Services select, each once.
func (s state) hashes() []string {
	stable, canary := s.stableHash(), s.canaryHash()
	switch {
	case stable == canary || canary == "":
		return []string{stable}
	case stable == "":
		return []string{canary}
	default:
		return []string{stable, canary}
	}
}

// floor is S3: moving traffic, or shrinking, never leaves fewer pods behind the
// traffic than maxUnavailable allows.
func (c *checker) floor(was, is state) {
	if !is.inService() || is.replicas() != was.replicas() || c.at.Kind == Pod || c.at.Kind == Rollout {
		return
	}
	least := is.replicas() - is.spare()
	if before, now := was.carrying(), is.carrying(); now < least && now < before {
		c.say("%d pods carry the traffic instead of %d, and %d are the least", now, before, least)
	}
}

// shift is S5: whoever gets more traffic has the pods for it, but for the stable
// revision of an update that goes back, which may lack maxUnavailable.
func (c *checker) shift(was, is state) {
	if is.replicas() == 0 || was.stableHash() == "" || c.at.Kind == Pod || c.at.Kind == Rollout {
		return
	}
	for hash := range is.owned() {
		before, now := was.serves(hash), is.serves(hash)
		if now <= before {
			continue
		}
		need := is.needs(now)
		if is.rollout.Status.Abort && hash == is.rollout.Status.StableRS {
			need = max(1, need-is.spare())
		}
		if has := is.available(hash); has < need || has == 0 {
			c.say("%s gets %d instead of %d and has %d of %d pods", hash, now, before, has, need)
		}
	}
}

// behindStable is S7: the stable Service keeps a pod, also when the canary gets
// all, since some ingress controllers answer nothing without one.
func (c *checker) behindStable(was, is state) {
	hash := is.stableHash()
	if !is.inService() || hash == "" {
		return
	}
	if is.available(hash) == 0 && (was.available(hash) > 0 || was.stableHash() != hash) {
		c.say("the stable Service selects %s, which has no available pod", hash)
	}
	if size(is.owned()[hash]) == 0 && size(was.owned()[hash]) > 0 {
		c.say("the stable Service selects %s, which shrank to nothing", hash)
	}
}

// underWeight is S8: the canary Service moves without weight.
func (c *checker) underWeight(was, is state) {
	if was.canaryHash() == is.canaryHash() || was.canaryHash() == "" {
		return
	}
	if weight, _ := was.weight(); weight > 0 {
		c.say("the canary Service moved from %s to %s under weight %d", was.canaryHash(), is.canaryHash(), weight)
	}
}

// mostMoves is one for a first Service without a revision, and one for the update.
const mostMoves = 2

// backAndForth is S13: a Service moves once for one reason.
func (c *checker) backAndForth(_, _ state) {
	if c.at.Kind == Service && (c.moves[0] > mostMoves || c.moves[1] > mostMoves) {
		c.say("a Service moves back and forth")
	}
}
