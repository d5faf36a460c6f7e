const sliceMs = 10;

/**
 * For finishWithPauses: goes back to the event loop whenever a slice of time is used up, and not before, so that a small
 * change does not wait for a turn of the event loop.
 */
export function timeSlices(): () => Promise<void> | undefined {
  let startedMs = performance.now();
  return () => {
    if (performance.now() - startedMs < sliceMs) return undefined;
    return new Promise((resolve) => {
      setImmediate(() => {
        startedMs = performance.now();
        resolve();
      });
    });
  };
}
