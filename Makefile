.PHONY: help check test train size

help: ## what there is
	@grep -E '^[a-z]+:.*##' Makefile | sed 's/:.*## /\t/' | expand -t 10

check: ## lint, types and tests, as before every commit
	ruff check .
	ruff format --check .
	mypy
	python -m pytest -q

test: ## the tests
	python -m pytest -q

train: ## the default model on the embedded fables
	python train.py

size: ## lines of code, file by file: it should stay small
	@git ls-files '*.py' | grep -v '^tests/' | xargs wc -l | sort -n
	@echo "tests:"
	@git ls-files 'tests/*.py' | xargs wc -l | tail -n 1
