;; Drives Emacs with eglot in batch: attach, run at the cursor, diagnostics that
;; go away when the file is fixed. DX_BINARY and DX_PYTHON name the server and
;; the Python with pytest; the working directory is a project with test_shop.py.
(require 'eglot)
(require 'cl-lib)

(add-to-list 'eglot-server-programs
             `(python-mode . (,(getenv "DX_BINARY") "--stdio" :initializationOptions (:trusted t :python ,(getenv "DX_PYTHON")))))

;; as in README.md
(defun dx-py-run () (interactive) (eglot-execute-command (eglot-current-server) "dx-py.server.runAtCursor"
  (vector (list :uri (eglot--path-to-uri buffer-file-name) :line (1- (line-number-at-pos))))))

(defun problems ()
  (mapcar (lambda (d) (format "%d: %s" (line-number-at-pos (flymake-diagnostic-beg d))
                              (car (split-string (flymake-diagnostic-text d) "\n"))))
          (flymake-diagnostics)))

(defun eventually (what f)
  (let ((end (+ (float-time) 20)))
    (while (and (not (funcall f)) (< (float-time) end))
      (accept-process-output nil 0.05)
      (sit-for 0.01))
    (unless (funcall f)
      (message "FAILED %s: %s" what (problems))
      (kill-emacs 1))
    (message "ok %s" what)))

(setq eglot-sync-connect 20)
(find-file "test_shop.py")
(call-interactively #'eglot)
(eventually "attach" (lambda () (eglot-current-server)))
(search-forward "def test_total")
(dx-py-run)
(eventually "the failure stands at its line"
            (lambda () (equal (problems) '("12: dx-py: test_total[prices1-1]: assert 0 == 1"))))
(goto-char (point-min))
(search-forward "([], 1)")
(replace-match "([], 0)")
(save-buffer)
(search-forward "def test_total")
(dx-py-run)
(eventually "it goes away when it is fixed" (lambda () (null (problems))))
(eglot-shutdown (eglot-current-server))
(kill-emacs 0)
