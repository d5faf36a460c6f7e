/** Takes CPU profiles with V8 (`.cpuprofile` files for the developer tools of a browser or VS Code). */
import type { RequestListener } from 'node:http';
import { Session } from 'node:inspector/promises';
import { sendJson, sendText } from './send';

const mostSeconds = 300;

/** Answers `?seconds=30` with a profile, one at a time. The process continues meanwhile, a few percent slower. */
export function answerCpuProfile(): RequestListener {
  let busy = false;
  return (request, response) => {
    const wanted = Number(new URL(request.url ?? '', 'http://localhost').searchParams.get('seconds') ?? 30);
    if (busy || !(wanted > 0 && wanted <= mostSeconds)) {
      if (busy) sendText(response, 409, 'another profile is being taken\n');
      else sendText(response, 400, `seconds must be more than 0 and at most ${mostSeconds}\n`);
      return;
    }
    busy = true;
    const aborted = new Promise<void>((resolve) => response.on('close', resolve));
    takeProfile(wanted * 1000, aborted)
      .then(
        (profile) => sendJson(response, 200, profile),
        (error: unknown) => sendText(response, 500, `${String(error)}\n`),
      )
      .finally(() => (busy = false));
  };
}

async function takeProfile(ms: number, aborted: Promise<void>): Promise<string> {
  const session = new Session();
  session.connect();
  try {
    await session.post('Profiler.enable');
    await session.post('Profiler.start');
    let timer: NodeJS.Timeout | undefined;
    await Promise.race([new Promise<void>((resolve) => (timer = setTimeout(resolve, ms))), aborted]);
    clearTimeout(timer);
    return JSON.stringify((await session.post('Profiler.stop')).profile);
  } finally {
    session.disconnect();
  }
}
