"""Print the JSON Schema of reports, docs/report.schema.json."""

import json

from voxfleet.evaluation.report.document import schema

if __name__ == "__main__":
    print(json.dumps(schema(), indent=1, ensure_ascii=False))
