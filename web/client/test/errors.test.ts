import { describe, expect, it } from 'vitest';
import { byeError, microphoneError, toClientError } from '../src/errors.ts';

const thrown = (name: string): DOMException => new DOMException('x', name);

describe('microphoneError', () => {
  it.each([
    ['NotAllowedError', 'permission_denied'],
    ['NotFoundError', 'no_device'],
    ['OverconstrainedError', 'no_device'],
    ['NotReadableError', 'device_busy'],
    ['SecurityError', 'insecure_page'],
  ])('%s becomes %s, with advice', (name, code) => {
    const error = microphoneError(thrown(name));
    expect(error.code).toBe(code);
    expect(error.advice).not.toBe('');
  });

  it('says how to get a secure page', () => {
    expect(microphoneError(thrown('SecurityError')).advice).toContain('--tls');
  });
});

describe('byeError', () => {
  it('tries again after a shutdown and after faults of transport', () => {
    expect(byeError('stopping', 'RM-6002').retryable).toBe(true);
    expect(byeError('reads too slowly', 'RM-3005').retryable).toBe(true);
  });

  it('ends for anything else', () => {
    expect(byeError('a bug', 'RM-6999').retryable).toBe(false);
  });
});

it('keeps the cause of what is unexpected', () => {
  const cause = new RangeError('too much');
  expect(toClientError(cause)).toMatchObject({ code: 'protocol', cause });
});
