/** Changes the verbosity of the log at run time, as in kube-proxy: `curl -X PUT -d 4 .../debug/flags/v`. */
import type { IncomingMessage, RequestListener } from 'node:http';
import type { AdjustableLogger } from '../telemetry/logger';
import { mostBodyBytes, refuseBody } from './connections';
import { sendText } from './send';

export function answerVerbosity(log: AdjustableLogger): RequestListener {
  return (request, response) => {
    if (request.method !== 'PUT') {
      sendText(response, 405, 'PUT a number\n', { Allow: 'PUT' });
      return;
    }
    readBody(request).then(
      (body) => {
        if (body === undefined) {
          refuseBody(response);
          return;
        }
        if (!/^\d{1,3}$/.test(body.trim())) {
          sendText(response, 400, 'not a verbosity: PUT a number\n');
          return;
        }
        const verbosity = Number(body);
        log.adjust({ verbosity });
        log.info({ v: verbosity }, 'the verbosity of the log has changed');
        sendText(response, 200, `successfully set the verbosity to ${verbosity}`);
      },
      () => response.destroy(),
    );
  };
}

/** Returns undefined when the body is too long, and leaves the rest unread. */
async function readBody(request: IncomingMessage): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  return new Promise((resolve, reject) => {
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes <= mostBodyBytes) chunks.push(chunk);
      else resolve(undefined);
    });
    request.on('end', () => resolve(Buffer.concat(chunks).toString('utf8')));
    request.on('error', reject);
    request.on('close', () => reject(new Error('the client closed the connection')));
  });
}
