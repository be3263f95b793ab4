# A rule of make: each test in a machine of its own, as many at once as -j says.
#
#   include job.mk
#   check: $(patsubst %.sh,%.passed,$(wildcard tests/*.sh))
#
# tests/x.sh gives tests/x.passed, and tests/x.xml for a CI system whatever happens.
MINIVMM_RUN ?= minivmm run --root / --share $(CURDIR):/src:rw --cwd /src --timeout 10m

%.passed: %.sh
	$(MINIVMM_RUN) --junit $*.xml -- sh ./$< && touch $@
