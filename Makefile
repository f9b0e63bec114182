# Gatehouse: `make` lists what there is.
.DEFAULT_GOAL := help
.PHONY: help up down reset test unit e2e check status token ca logs open console doctor trace bench conformance oldest deploy-aws lock

export MODE BASE_URL STACK BIND FRONTEND_PORT IDP_PORT IDP_TLS_PORT LOCALSTACK_PORT PYTHON_IMAGE JSON

help:  ## list the commands
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

up:  ## set up, start, deploy and check everything, then print the URLs (MODE=native or compose)
	@testbed/launch up

down:  ## stop everything; keys and set-up stay
	@testbed/launch down

reset:  ## stop everything and delete data and keys too
	@testbed/launch reset

test:  ## run all tests, the end-to-end ones against a stack of their own
	@testbed/launch test -- $(ARGS)

unit:  ## run the rooms' own tests only
	@testbed/launch test --rooms -- $(ARGS)

e2e:  ## run the browser tests against the running stack (OWN=1: against one of their own; BASE_URL=…: any other)
	@testbed/launch e2e $(if $(OWN),--own) -- $(ARGS)

check:  ## run the linters and type checks
	@testbed/launch setup dev
	@.ci/check

status:  ## show health, URLs, versions, mode and key ids (JSON=1 for scripts)
	@testbed/launch status

token:  ## print one access token: U=alice, broken on purpose with FAULT=expired
	@testbed/launch token $(or $(U),alice) $(if $(FAULT),--fault $(FAULT))

ca:  ## print the certificate to trust for the issuer's https: make -s ca > ca.pem
	@testbed/launch ca

logs:  ## follow the output of a service: S=frontend, mock-idp, localstack, deployer or lambda
	@testbed/launch logs $(S)

console:  ## open the issuer's console in the browser
	@testbed/launch console

open:  ## open the page in the browser
	@testbed/launch open

doctor:  ## look for what could keep the stack from starting
	@testbed/launch doctor

trace:  ## open the newest trace of a failed browser test
	@testbed/launch trace

bench:  ## run the benchmarks, each beside a peer
	@testbed/launch setup dev localstack runtime function peers
	@for figure in $$(ls benchmarks/*.py | grep -v chaos); do echo "== $$figure"; .gatehouse/env/dev/bin/python $$figure || exit 1; done

conformance:  ## compare with what AWS answered to LocalStack's own tests of Lambda (32 minutes, port 4566)
	@testbed/launch setup conformance localstack runtime nodejs20.x nodejs22.x nodejs24.x
	@.gatehouse/env/localstack/bin/python localstack/conformance/run.py $(ARGS)

oldest:  ## run the process executor's tests on the oldest LocalStack that it supports
	@testbed/launch setup dev oldest runtime nodejs20.x nodejs22.x nodejs24.x
	@LOCALSTACK_PYTHON=$(CURDIR)/.gatehouse/env/oldest/bin/python .gatehouse/env/dev/bin/python -m pytest -n 2 localstack/process_executor/tests $(ARGS)

deploy-aws:  ## build for AWS and deploy with `sam deploy --guided`
	@lambda/deploy-aws

lock:  ## write every lock file again from its .in file
	@testbed/lock
