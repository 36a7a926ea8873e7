.PHONY: help check test train size

help: ## list the targets
	@grep -E '^[a-z]+:.*##' Makefile | sed 's/:.*## /\t/' | expand -t 10

check: ## lint, types and the quick tests, before every commit
	ruff check .
	ruff format --check .
	mypy
	python -m pytest -q

test: ## all tests, the slow ones included
	python -m pytest -q -m "slow or not slow"

train: ## train the default model on the embedded fables
	python train.py

size: ## count lines of code, file by file
	@git ls-files '*.py' | grep -v '^tests/' | xargs wc -l | sort -n
	@echo "tests:"
	@git ls-files 'tests/*.py' | xargs wc -l | tail -n 1
