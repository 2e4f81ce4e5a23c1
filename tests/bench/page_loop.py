"""The loop of CAMB's own page, a thread for each task: ask with `requests`, sleep, ask again; and then tell the callback."""

import sys
import threading
import time
from typing import Any

import orjson
import requests


def follow(question: dict[str, Any], number: int) -> None:
    task_id = f"{question['prefix']}{number:05}"
    headers = {"x-api-key": question["key"]}
    while True:
        answer = requests.get(
            f"{question['camb']}/apis/text-to-sound/{task_id}", headers=headers, timeout=60
        ).json()
        if answer["status"] != "PENDING":
            break
        time.sleep(question["sleep"])
    requests.post(question["callbacks"] + question["path"], data=question["body"], timeout=60)


def main() -> None:
    for line in sys.stdin:
        question = orjson.loads(line)
        threads = [
            threading.Thread(target=follow, args=(question, each)) for each in range(question["tasks"])
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        sys.stdout.write('{"done":true}\n')
        sys.stdout.flush()


if __name__ == "__main__":
    main()
