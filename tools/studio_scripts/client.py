"""The studio's HTTP API, called as the page does."""

from __future__ import annotations

import time
from typing import Any, Final

import httpx

PATIENCE: Final = 600.0
"""Seconds for a job."""


class StudioClient:
    """One person at the studio; edits are made on the newest state that was seen."""

    def __init__(self, url: str) -> None:
        """Sign in.

        Args:
            url: What the studio printed, with the token.

        Raises:
            httpx.HTTPError: If it cannot be reached, or refuses.
        """
        address = httpx.URL(url)
        origin = f"{address.scheme}://{address.netloc.decode()}"
        self._http = httpx.Client(
            base_url=origin,
            headers={"X-Primaps": "1", "Origin": origin},
            follow_redirects=True,
            timeout=120,
            trust_env=False,
        )
        self._http.get(url).raise_for_status()
        self.state: dict[str, Any] = self.get("/api/state")

    def close(self) -> None:
        """Hang up."""
        self._http.close()

    def get(self, path: str, **parameters: Any) -> Any:
        """JSON of a path."""
        response = self._http.get(path, params=parameters)
        _raise(response)
        return response.json()

    def content(self, path: str, **parameters: Any) -> httpx.Response:
        """The answer of a path that is no JSON."""
        response = self._http.get(path, params=parameters)
        _raise(response)
        return response

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """JSON for JSON."""
        response = self._http.post(path, json=body)
        _raise(response)
        return response.json()

    def edit(self, edit: dict[str, Any]) -> str:
        """Make a change.

        Returns:
            What was made, in words.
        """
        answer = self.post("/api/edit", {"revision": self.state["revision"], "edit": edit})
        self.state = answer["state"]
        return str(answer["made"])

    def job(self, **request: Any) -> dict[str, Any]:
        """Do something long to its end.

        Returns:
            The job.

        Raises:
            RuntimeError: If it fails, or is not done in time.
        """
        job: dict[str, Any] = self.post("/api/jobs", request)
        until = time.monotonic() + PATIENCE
        while job["status"] == "running" and time.monotonic() < until:
            time.sleep(0.1)
            job = self.get(f"/api/jobs/{job['id']}")
        if job["status"] != "done":
            raise RuntimeError(f"Expected the job {request} to be done, but got {job}.")
        self.state = self.get("/api/state")
        return job


def _raise(response: httpx.Response) -> None:
    if response.is_error:
        raise RuntimeError(
            f"{response.request.method} {response.request.url.path} answered"
            f" {response.status_code}: {response.text[:500]}"
        )
