"""Features that open once every node understands them."""

from .api import Api, Refused
from .process import wait_until


def wait_for_locks(apis: list[Api], seconds: float = 20) -> None:
    """Returns when every node grants locks. Until then they must say that the feature is closed, or that nobody leads."""

    def granted(api: Api) -> bool:
        name = f"gate-{api.address}"
        try:
            api.release(name, api.acquire(name, ttl_ms=1_000)["token"])
        except Refused as refused:
            if refused.answer.status == 503 and refused.answer.problem in ("feature-closed", "no-leader"):
                return False
            raise
        except OSError:
            return False
        return True

    for api in apis:
        wait_until(lambda: granted(api), seconds, f"locks of {api.address} to open")
