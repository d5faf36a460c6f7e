/** The kernel's connection tracker cannot be reached at all: no later call will do better, and nothing was deleted. */
export class ConntrackUnavailableError extends Error {
  override readonly name = 'ConntrackUnavailableError';
}
