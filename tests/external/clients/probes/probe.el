;;; A client by websocket.el: probe.el LIBRARY URL HOW  -*- lexical-binding: t -*-
;;
;; Prints what it gets, waits with the first message until it is told to go on, and prints how the connection ended.
;; HOW is "blocked", where the wait blocks Emacs; "idle", where the handler returns; "waiting", where it waits in
;; Emacs' own way until the third message has come; or a token to log in with as a subprotocol.

(require 'websocket)

(let ((url (nth 1 command-line-args-left))
      (how (nth 2 command-line-args-left))
      (seen 0)
      (ended nil))
  (setq command-line-args-left nil)
  ;; What is written by `princ' waits in a buffer.
  (defun say (&rest words) (write-region (concat (string-join words " ") "\n") nil "/dev/stdout" nil 0))
  (websocket-open
   url
   :protocols (unless (member how '("blocked" "idle" "waiting")) (list "relaybox" how))
   :on-message (lambda (_ frame)
                 (setq seen (1+ seen))
                 (when (= seen 1)
                   (cond ((equal how "waiting") (say "waiting") (while (< seen 3) (sleep-for 0.01)))
                         ((equal how "blocked") (say "message" (websocket-frame-text frame))
                          (read-from-minibuffer ""))))
                 (unless (and (= seen 1) (equal how "blocked"))
                   (say "message" (websocket-frame-text frame))))
   :on-error (lambda (_ _ error) (say "error" (websocket-format-error error)) (setq ended t))
   :on-close (lambda (_) (say "closed without a code") (setq ended t)))
  (while (not ended) (accept-process-output nil 1)))
